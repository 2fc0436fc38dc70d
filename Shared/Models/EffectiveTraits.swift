/// The one rule of which value of a trait holds: that of the latest event by (timestamp, messageId), in
/// whatever order the events arrive. A null removes the trait, and is remembered so that an older value
/// coming later cannot bring it back.
package struct EffectiveTraits: Hashable, Sendable {
    /// The event that a value comes from, ordered by time, then by the bytes of the message id.
    package struct Stamp: Hashable, Sendable, Comparable {
        package var at: Instant
        package var messageID: String

        package init(at: Instant, messageID: String) {
            self.at = at
            self.messageID = messageID
        }

        package static func < (left: Stamp, right: Stamp) -> Bool {
            left.at != right.at ? left.at < right.at : left.messageID.precedesInUTF8(right.messageID)
        }
    }

    /// A value and the event that it comes from.
    package struct Entry: Hashable, Sendable {
        /// `null` for a trait that was removed.
        package var value: JSON
        package var stamp: Stamp

        package init(value: JSON, stamp: Stamp) {
            self.value = value
            self.stamp = stamp
        }
    }

    /// Every trait ever written, the removed ones too.
    package private(set) var entries: [String: Entry] = [:]

    package init() {}

    /// The traits that hold.
    package var values: [String: JSON] {
        entries.compactMapValues { $0.value.isNull ? nil : $0.value }
    }

    /// The value of one trait.
    package subscript(name: String) -> JSON? {
        guard let value = entries[name]?.value, !value.isNull else { return nil }
        return value
    }

    /// Takes in the traits of an event; those that a later event has written stay.
    package mutating func apply(_ traits: [String: JSON], at instant: Instant, messageID: String) {
        let stamp = Stamp(at: instant, messageID: messageID)
        for (name, value) in traits { apply(Entry(value: value, stamp: stamp), to: name) }
    }

    /// Takes in one value; says whether it holds now and did not before.
    @discardableResult
    package mutating func apply(_ entry: Entry, to name: String) -> Bool {
        if let held = entries[name], held.stamp >= entry.stamp { return false }
        entries[name] = entry
        return true
    }

    /// Takes in everything that another profile knows, as a merge does.
    package mutating func merge(_ other: EffectiveTraits) {
        for (name, entry) in other.entries { apply(entry, to: name) }
    }

    /// Reads the state that `json` writes.
    package init(json: JSON) throws(DecodingProblem) {
        for (name, member) in try JSONFields(json).members {
            let fields = try JSONFields(member, at: name)
            entries[name] = Entry(
                value: fields["value"] ?? .null,
                stamp: Stamp(at: try fields.instant("at"), messageID: try fields.string("messageId")))
        }
    }

    /// The whole state: `{"plan":{"value":"pro","at":"…","messageId":"…"}}`.
    package var json: JSON {
        .object(
            entries.mapValues { entry in
                [
                    "value": entry.value, "at": .string(entry.stamp.at.rfc3339),
                    "messageId": .string(entry.stamp.messageID),
                ]
            })
    }
}
