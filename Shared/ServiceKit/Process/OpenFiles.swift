import Glibc

/// How many files, connections among them, the process may have open.
enum OpenFiles {
    /// Takes as many as the system lets the process have: the usual 1,024 are a relic of `select`, which nothing here
    /// calls.
    static func raiseLimit() {
        guard var limit = limit(), limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// How many connections of clients there is room for beside everything else, and at most `most`.
    static func roomForConnections(most: Int) -> Int {
        guard let limit = limit() else { return most }
        let files = Int(clamping: limit.rlim_cur)
        return max(1, min(most, files - min(256, files / 2)))
    }

    private static func limit() -> rlimit? {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit : nil
    }
}
