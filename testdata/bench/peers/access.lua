-- Refuses a path, and marks the request with a variant that depends on its user.
if ngx.var.uri == "/private" then
  return ngx.exit(ngx.HTTP_FORBIDDEN)
end
local user = ngx.req.get_headers()["x-user"]
ngx.req.set_header("X-Variant", user and #user % 2 == 0 and "even" or "odd")
