-- Adds a key, as append.wat does.
function filter(tag, timestamp, record)
    record["env"] = "production"
    return 2, timestamp, record
end
