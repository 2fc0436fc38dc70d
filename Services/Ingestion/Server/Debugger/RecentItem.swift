import IngestionDomain
import Models

/// An item with its verdict as a debugger shows it.
struct RecentItem: Sendable {
    let number: Int64
    let receivedAt: Instant
    let verdict: String
    /// The name of the event, page or screen.
    let event: String?
    /// JSON.
    let body: String

    /// Bytes of an item that are shown.
    static let itemBytes = 16 << 10

    /// Of what was accepted it shows what is kept of it, after the tracking plan; of what was not, what could be read.
    init(_ held: RecentItems.Held) {
        (number, receivedAt, verdict) = (held.number, held.receivedAt, held.verdict.name)
        var members: [String: JSON] = [
            "receivedAt": .string(receivedAt.rfc3339), "verdict": .string(verdict),
        ]
        if let refusal = held.verdict.refusal {
            members["reason"] = .string("\(refusal.reason.rawValue): \(refusal.detail)")
        }
        members["messageId"] = held.item.messageID.map { .string($0) }
        switch held.item {
        case .event(let event):
            let json = try? JSONParser.parse(event.text)
            self.event = (json?["event"] ?? json?["name"])?.string
            members["type"] = json?["type"]
            members.merge(Self.shown(json, event.text)) { $1 }
        case .quarantined(let item):
            self.event = item.hints.event
            let json = item.item.count > Self.itemBytes ? nil : try? JSONParser.parse(item.item[...])
            members["type"] = (item.envelope.kind?.rawValue ?? json?["type"]?.string).map { .string($0) }
            members.merge(Self.shown(json, item.item)) { $1 }
        // Nothing is kept of it.
        case .refused: self.event = nil
        }
        members["event"] = event.map { .string($0) }
        body = JSON.object(members).compact
    }

    /// The item, or where it is no JSON or too large its beginning as text.
    private static func shown(_ json: JSON?, _ text: [UInt8]) -> [String: JSON] {
        if let json, text.count <= itemBytes { return ["item": json] }
        return ["itemStart": .string(String(decoding: text.prefix(itemBytes), as: UTF8.self))]
    }
}

/// Which items somebody wants to see.
struct RecentItemFilter: Sendable {
    /// All when empty.
    var verdicts: Set<String> = []
    var event: String?

    func passes(verdict: String, event: String?) -> Bool {
        (verdicts.isEmpty || verdicts.contains(verdict)) && (self.event == nil || self.event == event)
    }
}
