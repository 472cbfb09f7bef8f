-- Answers a guest with the pages in its own file, and nobody else's. Runs inside haproxy, whose root is the directory
-- of these files; a file is named by the address of its guest. Nothing that the guest sends becomes part of a path:
-- what it asks for is compared with the names in its file.

local CHUNK = 65536
local LONGEST_INDEX = 65536

-- The pages of a file, in order: name, offset, length; nil if there is no such file.
local function read_index(file)
    local pages, offset = {}, 0
    while true do
        local line = file:read("l")
        if line == nil or offset > LONGEST_INDEX then
            return nil
        end
        offset = offset + #line + 1
        if line == "" then
            break
        end
        local name, length = line:match("^(%S+) (%d+)$")
        if name == nil then
            return nil
        end
        pages[#pages + 1] = { name = name, length = tonumber(length) }
    end
    for _, page in ipairs(pages) do
        page.offset = offset
        offset = offset + page.length
    end
    return pages
end

local function answer(applet, status, length)
    applet:set_status(status)
    applet:add_header("content-type", "text/plain")
    applet:add_header("content-length", tostring(length))
    applet:add_header("cache-control", "no-store")
    applet:start_response()
end

local function answer_text(applet, status, text)
    answer(applet, status, #text)
    if applet.method ~= "HEAD" then
        applet:send(text)
    end
end

local function answer_page(applet, file, page)
    answer(applet, 200, page.length)
    if applet.method == "HEAD" then
        return
    end
    local left = page.length
    file:seek("set", page.offset)
    while left > 0 do
        local part = file:read(math.min(left, CHUNK))
        if part == nil then
            return
        end
        left = left - #part
        applet:send(part)
    end
end

local function listing(pages)
    local names = {}
    for _, page in ipairs(pages) do
        names[#names + 1] = page.name:match("^meta%-data/(.+)$")
    end
    return table.concat(names, "\n")
end

local function find(pages, name)
    for _, page in ipairs(pages) do
        if page.name == name then
            return page
        end
    end
    return nil
end

local function serve(applet, file)
    local pages = read_index(file)
    local asked = applet.path:match("^/latest/(.*)$")
    if pages == nil or asked == nil then
        return answer_text(applet, 404, "")
    end
    if asked == "" then
        return answer_text(applet, 200, find(pages, "user-data") and "meta-data/\nuser-data" or "meta-data/")
    end
    if asked == "meta-data" or asked == "meta-data/" then
        return answer_text(applet, 200, listing(pages))
    end
    -- Today's routers answer /latest/NAME as well as /latest/meta-data/NAME.
    local page = find(pages, asked) or find(pages, "meta-data/" .. asked)
    if page == nil then
        return answer_text(applet, 404, "")
    end
    return answer_page(applet, file, page)
end

core.register_service("pages", "http", function(applet)
    local guest = applet.sf:src()
    local file = type(guest) == "string" and guest:match("^[%d.]+$") and io.open("/" .. guest, "rb")
    if not file then
        return answer_text(applet, 404, "")
    end
    -- The file is closed whatever happens while it is served.
    local fine, why = pcall(serve, applet, file)
    file:close()
    if not fine then
        error(why)
    end
end)
