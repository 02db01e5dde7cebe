"""Which stored objects are encrypted under which key id: read from etcd, counted without any key.

`stored`, `names`, `path` and `tally` are pure; `etcd`, `etcdctl` and `snapshot` are the sources; `counting`
joins them. `counted` reads back what was printed, `proof` says what it proves.
"""
