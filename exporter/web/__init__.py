"""What the daemon serves over HTTP: ``create_app`` makes the ASGI application, ``WebServer`` serves it.

``app`` has the routes, ``page`` the HTML, ``security`` who may do what, ``users`` HTTP basic
authentication, ``server`` the sockets, TLS and uvicorn. Nothing here looks at a target or judges;
everything it needs comes through the ``Board`` protocol. Import what you need from the modules:
Starlette and uvicorn cost start-up time, so this package imports nothing.
"""
