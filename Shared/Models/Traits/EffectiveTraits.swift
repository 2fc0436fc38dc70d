/// Which value of a trait holds, in whatever order the events arrive: that of the latest event by (timestamp,
/// messageId), unless the identity policy has another rule for the trait, which comes with the events. A null removes
/// the trait, and is remembered so that an older value coming later cannot bring it back.
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
        package private(set) var value: JSON
        package private(set) var stamp: Stamp
        /// What else was said, where the rule needs it; nil where the latest value holds.
        package private(set) var history: TraitHistory?

        package init(value: JSON, stamp: Stamp) {
            self.value = value
            self.stamp = stamp
        }

        /// What an event of a source says of a trait with this rule.
        package init(value: JSON, stamp: Stamp, from sourceID: SourceID, by rule: TraitRule) {
            self.init(value: value, stamp: stamp)
            if rule != .latest { hold(TraitHistory(value, at: stamp, from: sourceID, by: rule)) }
        }

        /// What is stored of a trait.
        package init(value: JSON, stamp: Stamp, history: TraitHistory?) {
            self.value = value
            self.stamp = stamp
            self.history = history
        }

        /// Takes in what is known besides; says whether anything changed.
        @discardableResult
        package mutating func merge(_ other: Entry) -> Bool {
            guard history != nil || other.history != nil else {
                if stamp >= other.stamp { return false }
                self = other
                return true
            }
            let before = self
            var all = history ?? TraitHistory(value, at: stamp, from: nil, by: .latest)
            all.merge(other.history ?? TraitHistory(other.value, at: other.stamp, from: nil, by: .latest))
            hold(all)
            return self != before
        }

        private mutating func hold(_ all: TraitHistory) {
            history = all
            guard let effective = all.effective else { return }
            value = effective.value
            stamp = effective.stamp
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

    /// Takes in one value; says whether anything changed.
    @discardableResult
    package mutating func apply(_ entry: Entry, to name: String) -> Bool {
        if entries[name] != nil { return entries[name]?.merge(entry) ?? false }
        entries[name] = entry
        return true
    }

    /// Puts a value in the place of what was known.
    package mutating func replace(_ entry: Entry, of name: String) { entries[name] = entry }

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
                stamp: Stamp(at: try fields.instant("at"), messageID: try fields.string("messageId")),
                history: try fields["history"].map { json throws(DecodingProblem) in
                    try TraitHistory(json: json, at: name)
                })
        }
    }

    /// The whole state: `{"plan":{"value":"pro","at":"…","messageId":"…"}}`.
    package var json: JSON {
        .object(
            entries.mapValues { entry in
                var members: [String: JSON] = [
                    "value": entry.value, "at": .string(entry.stamp.at.rfc3339),
                    "messageId": .string(entry.stamp.messageID),
                ]
                members["history"] = entry.history?.json
                return .object(members)
            })
    }
}
