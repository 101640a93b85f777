local regions = {}
for line in io.lines("{{workspaces}}") do
    local workspace, region = line:match("^(%x+) (%w+)$")
    regions[workspace] = region
end
function envoy_on_request(handle)
    local headers = handle:headers()
    local workspace = headers:get(":path"):match("^/api/v1/workspaces/(%x+)")
    headers:replace("x-region", workspace and regions[workspace] or "{{home}}")
    handle:clearRouteCache()
end
