"""Which stored objects are encrypted under which key id: read from etcd, counted without any key.

`stored`, `path` and `tally` are pure; `etcd` and `etcdctl` are the two sources; `survey` joins them.
"""
