ngx.header["X-Served-By"] = "nginx-lua"
