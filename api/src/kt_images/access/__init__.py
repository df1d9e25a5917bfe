"""Who may call: keys, what each lets its holder do, and the gate in front of every call.

gate (the middleware) --> keyring (the keys that are known by now) --> secrets (how a key is written)
     `------------------> sessions (the cookie that a key is exchanged for)
"""
