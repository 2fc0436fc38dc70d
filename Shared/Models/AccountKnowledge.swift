/// What is known of an account's traits by whoever follows the calls of all its members.
package struct AccountKnowledge: Hashable, Sendable {
    /// What the latest call that carried a trait said of it.
    package struct Told: Hashable, Sendable {
        /// Null where the trait was removed.
        package var value: JSON
        /// When the call takes effect.
        package var at: Instant
        package var messageID: String
        /// Where the call stands in the timeline, under whichever profile.
        package var position: TimelinePosition?

        package init(value: JSON, at: Instant, messageID: String, position: TimelinePosition? = nil) {
            self.value = value
            self.at = at
            self.messageID = messageID
            self.position = position
        }

        /// The order of calls: by time, then by message.
        package static func precedes(_ left: Told, _ right: Told) -> Bool {
            left.at != right.at ? left.at < right.at : left.messageID.precedesInUTF8(right.messageID)
        }
    }

    /// By the names of the traits.
    package var traits: [String: Told]
    /// Whether the event that carries it is nothing else: a call of somebody else in the account.
    package var isAll: Bool

    package init(_ traits: [String: Told], isAll: Bool) {
        self.traits = traits
        self.isAll = isAll
    }

    /// Bytes of an account's id.
    package static let longestID = 512
    /// Bytes of a trait's name; traits with longer ones are not kept.
    package static let longestName = 512

    /// Whether a group call's id may name an account.
    package static func isID(_ text: String) -> Bool {
        (1...longestID).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
    }
}

extension TrackingEvent {
    /// What others told of an account that a profile belongs to, as an event.
    package init(of group: String, _ traits: [String: AccountKnowledge.Told]) {
        let latest = traits.values.max(by: AccountKnowledge.Told.precedes)
        let at = latest?.at ?? .distantPast
        self.init(
            messageID: latest?.messageID ?? "", kind: .group, groupID: group, timestamp: at, receivedAt: at,
            sourceID: SourceID(UUIDv7.derived(at: .distantPast, from: "account")))
        position = latest?.position
        account = AccountKnowledge(traits, isAll: true)
    }
}
