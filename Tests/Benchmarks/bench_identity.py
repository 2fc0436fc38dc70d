"""What identity does, beside others that do the same: `make bench-identity`, on a release build."""

import bench_identity_lookup
import bench_identity_matching
import bench_identity_resolution

if __name__ == "__main__":
    bench_identity_resolution.main()
    bench_identity_matching.main()
    bench_identity_lookup.main()
