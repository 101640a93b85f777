-- One load for every contender: each request names another workspace, with the fields that an SDK sends.
-- Arguments: the kind of request, the file of workspaces, how many of them, the number of the first request.

local kind, file, count, number
local ids = {}
local start, finish = {}, {}
local sdk = "Host: api.clockify.me\r\n"
    .. "User-Agent: clockify-sdk-python/2.4.1 (python-requests/2.31.0)\r\n"
    .. "Accept-Encoding: gzip, deflate\r\n"
    .. "Accept: application/json\r\n"
    .. "Connection: keep-alive\r\n"
    .. "X-Api-Key: MDExYjFkYjMtZGI2Ny00YjQ4LTk0ZjMtNWFlYTU3ZGNiMGE5\r\n"
local body = '{"description":"' .. string.rep("x", {{post_bytes}} - 18) .. '"}'

start.get, finish.get = "GET", "/projects?page=1&page-size=50 HTTP/1.1\r\n" .. sdk .. "\r\n"
start.chunked, finish.chunked = "GET", "/export HTTP/1.1\r\n" .. sdk .. "\r\n"
start.post, finish.post = "POST", "/time-entries HTTP/1.1\r\n" .. sdk
    .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body

function init(args)
    kind, file, count, number = args[1], args[2], tonumber(args[3]), tonumber(args[4])
    for line in io.lines(file) do ids[#ids + 1] = line:match("^%x+") end
    start = start[kind] .. " /api/v1/workspaces/"
    finish = finish[kind]
end

-- A stride that shares no factor with any round count: every id once before any twice, neighbours never in a row.
function request()
    number = number + 1
    return start .. ids[number * 61627 % count + 1] .. finish
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'BENCH {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "not_ok": %d, "broken": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
