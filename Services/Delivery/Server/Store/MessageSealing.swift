import Models
import Sealing

/// How what is personal in a message is sealed: under the key of the day on which it was written, each value at its own
/// place of its own message.
struct MessageSealing: Sendable {
    /// What is sealed.
    enum Field: String, Sendable {
        case variables
        case subject
        case evidence
        case detail
        case link
    }

    let days: DayKeys

    func key(at now: Instant) async throws -> DayKey { try await days.key(at: now) }

    static func place(_ field: Field, of id: MessageID, _ part: String = "") -> String {
        "delivery.message.\(field.rawValue) \(id) \(part)"
    }

    func open(_ text: String, _ field: Field, of id: MessageID, _ part: String = "") async throws -> String? {
        try await days.open(text, at: Self.place(field, of: id, part))
    }

    func open(_ text: String?, _ field: Field, of id: MessageID, _ part: String = "") async throws -> String?
    {
        guard let text else { return nil }
        return try await open(text, field, of: id, part)
    }

    func openJSON(_ text: String?, _ field: Field, of id: MessageID) async throws -> JSON {
        guard let opened = try await open(text, field, of: id) else { return .null }
        return try JSONParser.parse(Array(opened.utf8)[...])
    }

    /// The links of a message, by key.
    func openLinks(_ links: JSON, of id: MessageID) async throws -> [String: String] {
        var opened: [String: String] = [:]
        for (key, value) in links.object ?? [:] {
            guard let text = value.string else { continue }
            opened[key] = try await open(text, .link, of: id, key)
        }
        return opened
    }
}

extension DayKey {
    func seal(
        _ text: String, _ field: MessageSealing.Field, of id: MessageID, _ part: String = ""
    ) throws(SealingError) -> String {
        try seal(text, at: MessageSealing.place(field, of: id, part))
    }
}
