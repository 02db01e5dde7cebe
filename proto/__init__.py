"""The wire: `kmsv2` and `storage` are Kubernetes', `etcd` is etcd's, `admin` is what the command line speaks.

The .proto files are written by hand; everything else here comes from `make proto`.
"""
