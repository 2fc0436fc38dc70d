import Models

/// A preview of ingestion, for people.
enum PreviewText {
    static func text(_ preview: JSON) -> String {
        var lines: [String] = []
        for group in preview["groups"]?.array ?? [] {
            let rows = group["rows"]?.integer ?? 0
            lines.append("line \(group["line"]?.integer ?? 0), \(rows) \(rows == 1 ? "row" : "rows"):")
            if let reason = group["reason"]?.string { lines.append("  skipped: \(reason)") }
            for problem in group["problems"]?.array ?? [] {
                let found = problem["found"]?.string.map { ", found “\($0)”" } ?? ""
                lines.append(
                    "  refused: line \(problem["line"]?.integer ?? 0): \(problem["reason"]?.string ?? "")\(found)"
                )
            }
            for event in group["events"]?.array ?? [] {
                let reason = event["reason"]?.string.map { " (\($0))" } ?? ""
                lines.append(
                    "  \(event["status"]?.string ?? "?")\(reason): \((event["event"] ?? .null).compact)")
            }
        }
        if preview["readToEnd"]?.bool == false {
            lines.append("only the beginning of the file was looked at: events may have further rows")
        }
        return lines.joined(separator: "\n")
    }
}
