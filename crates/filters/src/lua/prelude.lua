-- Makes Lua's libraries fit for a filter, before its script is loaded. What is changed is told in docs/lua.md.
-- Is given what is to be debug.traceback, and what says whether the deadline has passed; returns how many parameters a function
-- has, and a function that prints what waits.

local traceback, is_late = ...
local util, stdout, xpcall_of_lua = require("jit.util"), io.stdout, xpcall

-- Compiled code looks at no deadline. It stays off, whoever asks for it.
jit.off()
for _, name in ipairs { "on", "off", "flush" } do
    jit[name] = function() end
end

-- Nor does Lua's code look at one where the collector, the compiler or an error that comes of a hook calls it.
newproxy, jit.attach = nil, nil
getmetatable(stdout).__metatable = "file"
xpcall = function(f, handler, ...)
    return xpcall_of_lua(f, function(...)
        if is_late() then return ... end
        return handler(...)
    end, ...)
end

package.loaded["jit.util"], package.preload["jit.util"], jit.util = nil, nil, nil
os.exit = function() error("os.exit would end the agent", 2) end
-- It is the whole process's.
os.setlocale = function() end
debug = { traceback = traceback }

return function(f) return util.funcinfo(f).params or 0 end, function() stdout:flush() end
