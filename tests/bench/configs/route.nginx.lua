-- Workspace -> region, in an LRU cache as a gateway would have it; loaded once, before the first request.
local lrucache = require "resty.lrucache"
local regions = assert(lrucache.new({{cache_size}}))
for line in io.lines("{{workspaces}}") do
    local workspace, region = line:match("^(%x+) (%w+)$")
    regions:set(workspace, region)
end
local find = ngx.re.match
function route()
    local found = find(ngx.var.uri, "^/api/v1/workspaces/([0-9a-f]{24})(?:/|$)", "jo")
    return found and regions:get(found[1]) or "{{home}}"
end
