import Models

/// What a debugger says, for people.
enum DebugLine {
    /// `12:00:00.000 quarantined track Order Completed (m-17): schema: …`, and the item below it.
    static func text(_ data: String) -> String {
        guard let json = try? JSONParser.parse(Array(data.utf8)[...]) else { return data }
        func member(_ name: String) -> String? { json[name]?.string }
        var line = [
            member("receivedAt").map { String($0.dropFirst(11).prefix(12)) }, member("verdict"),
            member("type"),
            member("event"), member("messageId").map { "(\($0))" },
        ].compactMap { $0 }.joined(separator: " ")
        if let reason = member("reason") { line += ": \(reason)" }
        guard let item = json["item"]?.compact ?? member("itemStart") else { return printable(line) }
        return printable("\(line)\n    \(item)")
    }

    /// Items that can't be shown.
    static func missed(_ data: String) -> String {
        let count = (try? JSONParser.parse(Array(data.utf8)[...]))?["count"]?.integer
        return count.map { "… \($0) items more came than could be shown" }
            ?? "… some items may be missing: it was away for too long"
    }

    /// What a stranger sends must not steer a terminal.
    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    let isControl =
                        (scalar.value < 0x20 && scalar != "\n") || (0x7F...0x9F).contains(scalar.value)
                    return isControl ? "\u{FFFD}" : scalar
                }))
    }
}
