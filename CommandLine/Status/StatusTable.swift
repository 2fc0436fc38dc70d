import Models

/// What runs where.
enum StatusTable {
    static func text(_ entries: [RunningEntry]) -> String {
        TextTable(
            header: ["SERVICE", "URL", "PID", "STATE", "RESTARTS"],
            rows: entries.map { entry in
                [
                    entry.service.rawValue, entry.url, entry.pid > 0 ? String(entry.pid) : "-", entry.state,
                    String(entry.restarts),
                ]
            }
        ).text
    }
}
