import IngestionDomain
import Models
import Streams

/// An event as the log takes it: everything that can be made ready before the transaction is.
struct ReadyEvent: Sendable {
    let key: MessageKey
    /// The sender's own name for who it was, and its shard.
    let subject: String
    let shard: Shard
    let receivedAt: Instant
    /// What a consent policy calls it by.
    let rule: String
    /// The stored form, JSON in UTF-8.
    let text: [UInt8]
    /// What a consent policy has to know of it, where its reader knew that one has a rule for it.
    var question: EventQuestion?
    /// What is appended for it, where it is sealed already.
    var record: NewRecord?

    init(_ event: TrackingEvent) {
        var text: [UInt8] = []
        text.reserveCapacity(512)
        event.json.write(into: &text)
        self.init(
            key: MessageKey(sourceID: event.sourceID, messageID: event.messageID), subject: event.subjectKey,
            receivedAt: event.receivedAt, rule: EventStorageDecision.name(of: event), text: text)
    }

    init(key: MessageKey, subject: String, receivedAt: Instant, rule: String, text: [UInt8]) {
        self.key = key
        self.subject = subject
        shard = Shard(hashing: subject)
        self.receivedAt = receivedAt
        self.rule = rule
        self.text = text
    }
}

/// What makes an event one and the same.
struct MessageKey: Hashable, Comparable, Sendable {
    let shard: Shard
    let sourceID: SourceID
    let messageID: String

    init(sourceID: SourceID, messageID: String) {
        shard = Shard(hashing: messageID)
        self.sourceID = sourceID
        self.messageID = messageID
    }

    // By bytes, because strings that look alike are one to Swift and two to the database.
    static func == (left: MessageKey, right: MessageKey) -> Bool {
        left.sourceID == right.sourceID && left.messageID.utf8.elementsEqual(right.messageID.utf8)
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(sourceID)
        var text = messageID
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    static func < (left: MessageKey, right: MessageKey) -> Bool {
        if left.shard != right.shard { return left.shard < right.shard }
        if left.sourceID != right.sourceID { return left.sourceID < right.sourceID }
        return left.messageID.precedesInUTF8(right.messageID)
    }
}
