package import Models
package import Sealing

/// An append-only, sharded sequence of facts that one service publishes and any may read.
///
/// The table behind it belongs to the publisher and has at least the columns
/// `(shard smallint, "offset" bigint, key text, recorded_at timestamptz, traceparent text, body text)` with the
/// primary key `(shard, "offset")`. Offsets start at 1, are gapless, and are in commit order per shard.
package struct StreamDefinition: Sendable, Hashable {
    /// The name in URLs and checkpoints, e.g. `profile-events`.
    package let name: String
    /// The schema-qualified table, e.g. `profiles.timeline`.
    package let table: String
    /// The one service that appends.
    package let publisher: ServiceName
    /// What bodies are sealed under.
    package let sealing: Sealing

    /// Whose keys bodies are sealed under.
    package enum Sealing: Sendable, Hashable {
        /// Nobody's: they name profiles by their ids and hold nothing personal.
        case plain
        /// The publisher's, by the day of the record.
        case day
        /// Those of profiles: the table has a column `profile_id` that names whose. The publisher seals them itself.
        case profile
    }

    package init(name: String, table: String, publisher: ServiceName, sealing: Sealing = .day) {
        self.sealing = sealing
        self.name = name
        self.table = table
        self.publisher = publisher
    }

    /// The NOTIFY channel that is signalled when a transaction that appended commits.
    package var channel: String { "stream_" + name.replacing("-", with: "_") }

    /// Every accepted event as it was received; the raw event log of ingestion.
    package static let events = StreamDefinition(
        name: "events", table: "ingestion.stream_events", publisher: .ingestion)
    /// Every event resolved to a profile, merges and erasures: the timeline. Bodies are ``ProfileFact``.
    package static let profileEvents = StreamDefinition(
        name: "profile-events", table: "profiles.timeline", publisher: .identity, sealing: .profile)
    /// Every grant and withdrawal that changed a consent state. Bodies are ``ConsentChange``.
    package static let consents = StreamDefinition(
        name: "consents", table: "consent.stream_consents", publisher: .consent, sealing: .plain)
    /// Access and erasure requests for every service to carry out. Bodies are ``PrivacyRequest``.
    package static let privacyRequests = StreamDefinition(
        name: "privacy-requests", table: "consent.stream_privacy_requests", publisher: .consent,
        sealing: .plain)
    /// What becomes of privacy requests, and when they are due. Bodies are ``PrivacyChange``.
    package static let privacyChanges = StreamDefinition(
        name: "privacy-changes", table: "consent.stream_privacy_changes", publisher: .consent,
        sealing: .plain)
    /// Every segment entered and left, with its evidence. Bodies are ``MembershipChange``.
    package static let memberships = StreamDefinition(
        name: "memberships", table: "segmentation.stream_memberships", publisher: .segmentation)
    /// Every message that a journey wants sent. Bodies are ``SendIntent``.
    package static let intents = StreamDefinition(
        name: "intents", table: "journeys.stream_intents", publisher: .journeys)

    /// Every stream there is.
    package static let all = [
        events, profileEvents, consents, privacyRequests, privacyChanges, memberships, intents,
    ]
}

/// One fact read from a stream.
package struct StreamRecord: Sendable, Hashable {
    package var shard: Shard
    package var offset: Int64
    /// What the record is about (a profile id on most streams); all records of one key are in one shard, in order.
    package var key: String
    package var recordedAt: Instant
    /// W3C trace context of the request that made the fact true.
    package var traceparent: String?
    package var body: JSON

    package init(
        shard: Shard, offset: Int64, key: String, recordedAt: Instant, traceparent: String? = nil, body: JSON
    ) {
        self.shard = shard
        self.offset = offset
        self.key = key
        self.recordedAt = recordedAt
        self.traceparent = traceparent
        self.body = body
    }
}

/// One fact to append.
package struct NewRecord: Sendable {
    package var shard: Shard
    package var key: String
    /// The body, as JSON in UTF-8.
    package var text: [UInt8]
    package var traceparent: String?
    /// When the body was sealed, where that was done before; it is recorded as of then.
    package private(set) var sealedAt: Instant?

    package init(shard: Shard, key: String, text: [UInt8], traceparent: String? = nil) {
        self.shard = shard
        self.key = key
        self.text = text
        self.traceparent = traceparent
    }

    /// The record with its body sealed already, for a publisher that doesn't want to do that while its transaction is
    /// open.
    package func sealed(
        for stream: StreamDefinition, at instant: Instant, under key: DayKey
    ) throws -> NewRecord {
        var record = self
        record.text = try key.seal(
            text, at: StreamBodies.place(in: stream, shard: shard, key: self.key, recordedAt: instant))
        record.sealedAt = instant
        return record
    }

    package init(shard: Shard, key: String, body: JSON, traceparent: String? = nil) {
        var text: [UInt8] = []
        body.write(into: &text)
        self.init(shard: shard, key: key, text: text, traceparent: traceparent)
    }
}
