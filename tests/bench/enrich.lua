-- Adds four keys, one of them the record as JSON, as the enriching examples do.
local function quoted(text)
    return '"' .. text:gsub('[%c"\\\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local function json(value)
    if type(value) == "string" then
        return quoted(value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local parts = {}
    for key, inner in pairs(value) do
        parts[#parts + 1] = quoted(tostring(key)) .. ":" .. json(inner)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

function filter(tag, timestamp, record)
    local original = json(record)
    record["lang"] = "Lua"
    record["tag"] = tag
    record["time"] = os.date("!%Y-%m-%dT%H:%M:%SZ", timestamp)
    record["original"] = original
    return 2, timestamp, record
end
