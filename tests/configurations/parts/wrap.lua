-- Puts a record's text below a key of its own.
function process(tag, timestamp, record)
    return 2, timestamp, {labels = {tag = tag}, payload = record}
end
