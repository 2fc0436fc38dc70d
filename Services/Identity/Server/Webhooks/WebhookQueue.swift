import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Queues what endpoints are told, in the transaction that changes the profiles.
///
/// That transaction holds the locks of the canonical profiles, so the order of a profile's events in the queue is that
/// of the commits.
struct WebhookQueue: Sendable {
    /// Announces that there is something to deliver.
    static let channel = "identity_webhooks"
    /// Names of traits that one event lists.
    static let mostTraits = 100

    private let store: ProfileStore
    private let machine: @Sendable () -> Instant

    init(store: ProfileStore, machine: @escaping @Sendable () -> Instant = Instant.fromSystemClock) {
        self.store = store
        self.machine = machine
    }

    /// Queues what a batch comes to. To be called before its changes are written: it compares them with what is there.
    func queue(_ resolver: Resolver, at now: Instant, in transaction: PostgresTransaction) async throws {
        let changes = resolver.changes
        guard
            !(changes.created.isEmpty && changes.merges.isEmpty && changes.claims.isEmpty
                && changes.traits.isEmpty)
        else { return }
        let endpoints = try await endpoints(in: transaction)
        guard !endpoints.isEmpty else { return }
        let before = try await traitsBefore(resolver, in: transaction)
        try await queue(
            ProfileNotice.all(of: resolver, traitsBefore: before), for: endpoints, at: now, in: transaction)
    }

    /// Queues events for every enabled endpoint that wants them.
    func queue(
        _ notices: [ProfileNotice], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !notices.isEmpty else { return }
        try await queue(notices, for: try await endpoints(in: transaction), at: now, in: transaction)
    }

    private func queue(
        _ notices: [ProfileNotice], for endpoints: [WebhookEndpointID], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !notices.isEmpty, !endpoints.isEmpty else { return }
        let queuedAt = machine()
        let count = try await transaction.execute(
            """
            INSERT INTO identity.webhook_delivery
                (shard, endpoint_id, event_id, type, profile_id, other_id, details, occurred_at, queued_at, state,
                 next_attempt_at)
            SELECT s.shard, e.endpoint_id, n.event_id, n.type, n.profile_id, n.other_id, n.details,
                   \(now)::timestamptz, \(queuedAt)::timestamptz, 'pending',
                   -- It waits as long as what is before it of its profiles, so that nobody looks at it until then; in
                   -- a line only the first is looked at.
                   CASE e.ordering WHEN 'endpoint' THEN \(queuedAt)::timestamptz
                   ELSE greatest(\(queuedAt)::timestamptz, (
                       SELECT max(b.next_attempt_at) FROM identity.webhook_delivery b
                       WHERE b.endpoint_id = e.endpoint_id AND b.state = 'pending'
                         AND b.profile_id IN (n.profile_id, n.other_id)
                   ), (
                       SELECT max(b.next_attempt_at) FROM identity.webhook_delivery b
                       WHERE b.endpoint_id = e.endpoint_id AND b.state = 'pending'
                         AND b.other_id IN (n.profile_id, n.other_id)
                   )) END
            FROM unnest(\(notices.map { _ in UUIDv7.make(at: queuedAt) })::uuid[],
                        \(notices.map(\.type.rawValue))::text[], \(notices.map(\.profileID))::uuid[],
                        \(notices.map(\.otherID))::uuid[], \(notices.map { Self.details($0).compact })::text[])
                 WITH ORDINALITY AS n (event_id, type, profile_id, other_id, details, number)
            JOIN identity.webhook_endpoint e ON e.enabled AND n.type = ANY(e.event_types)
            JOIN unnest(\(endpoints)::uuid[], \(endpoints.map(Self.shard))::smallint[]) AS s (endpoint_id, shard)
                ON s.endpoint_id = e.endpoint_id
            ORDER BY n.number
            """)
        if count > 0 { try await transaction.notify(Self.channel) }
    }

    /// Takes the personal part off everything that is, or was, said of these profiles.
    static func erase(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            UPDATE identity.webhook_delivery d SET details = '{}', is_erased = true
            WHERE (profile_id = ANY(\(ids)::uuid[]) OR other_id = ANY(\(ids)::uuid[]))
              AND type <> \(WebhookEventType.erased.rawValue)
            """)
    }

    /// Tells every endpoint that was told of these profiles, or is to be, that they were erased, whatever it has asked for
    /// (GDPR article 19), and those that have asked for that. Also one that is disabled, for when it is enabled again. Returns
    /// whom it tells, for the receipt.
    static func tell(
        ofErasing ids: [ProfileID], for request: PrivacyRequest, at now: Instant, queuedAt: Instant,
        in transaction: PostgresTransaction
    ) async throws -> [JSON] {
        let rows = try await transaction.query(
            """
            SELECT t.endpoint_id, t.profile_id, e.description
            FROM (
                SELECT endpoint_id, profile_id FROM identity.webhook_delivery d
                WHERE profile_id = ANY(\(ids)::uuid[]) AND \(wasTold)
                UNION
                SELECT endpoint_id, other_id FROM identity.webhook_delivery d
                WHERE other_id = ANY(\(ids)::uuid[]) AND \(wasTold)
                UNION
                -- However long ago: the deliveries are gone, and there may be some since that were withheld.
                SELECT endpoint_id, profile_id FROM identity.webhook_audience
                WHERE profile_id = ANY(\(ids)::uuid[]) AND was_told
                UNION
                -- An endpoint from which they were kept must not hear of them by their erasure.
                SELECT endpoint_id, \(request.profileID)::uuid FROM identity.webhook_endpoint e
                WHERE enabled AND \(WebhookEventType.erased.rawValue) = ANY(event_types) AND NOT EXISTS (
                    SELECT FROM identity.webhook_delivery d WHERE d.endpoint_id = e.endpoint_id AND d.state = 'withheld'
                        AND (d.profile_id = ANY(\(ids)::uuid[]) OR d.other_id = ANY(\(ids)::uuid[])))
                  AND NOT EXISTS (
                    SELECT FROM identity.webhook_audience w
                    WHERE w.endpoint_id = e.endpoint_id AND w.profile_id = ANY(\(ids)::uuid[]) AND NOT w.was_told)
            ) t JOIN identity.webhook_endpoint e USING (endpoint_id)
            ORDER BY t.endpoint_id, t.profile_id
            """)
        try await WebhookAudience.erase(ids, in: transaction)
        guard !rows.isEmpty else { return [] }
        let endpoints = try rows.map { try $0.get("endpoint_id", as: WebhookEndpointID.self) }
        let profiles = try rows.map { try $0.get("profile_id", as: ProfileID.self) }
        let events = rows.map { _ in WebhookEventID(UUIDv7.make(at: queuedAt)) }
        let details = JSON.object(["requestId": .string(request.id.description)]).compact
        try await transaction.execute(
            """
            INSERT INTO identity.webhook_delivery
                (shard, endpoint_id, event_id, type, profile_id, details, is_erased, occurred_at, queued_at, state,
                 next_attempt_at)
            SELECT t.shard, t.endpoint_id, t.event_id, \(WebhookEventType.erased.rawValue), t.profile_id, \(details), true,
                \(now)::timestamptz, \(queuedAt)::timestamptz, 'pending', \(queuedAt)::timestamptz
            FROM unnest(\(endpoints.map(shard))::smallint[], \(endpoints)::uuid[], \(events)::uuid[], \(profiles)::uuid[])
                WITH ORDINALITY AS t (shard, endpoint_id, event_id, profile_id, number)
            ORDER BY t.number
            """)
        try await transaction.notify(channel)
        return try zip(rows, zip(zip(endpoints, profiles), events)).map { row, told in
            [
                "eventId": .string(told.1.description), "endpointId": .string(told.0.0.description),
                "profileId": .string(told.0.1.description),
                "description": .string(try row.get("description")),
            ]
        }
    }

    /// Whether the endpoint of the delivery `d` has heard of it, or may yet.
    private static let wasTold: SQL = """
        (d.state <> 'withheld' OR EXISTS (
            SELECT FROM identity.webhook_attempt a
            WHERE a.shard = d.shard AND a.endpoint_id = d.endpoint_id AND a.event_id = d.event_id))
        """

    /// Who was told of these profiles, or is to be, for a request of access.
    static func told(of ids: [ProfileID], in transaction: PostgresTransaction) async throws -> JSON {
        let rows = try await transaction.query(
            """
            SELECT d.type, d.state, d.occurred_at, e.endpoint_id, e.description, e.include_traits
            FROM identity.webhook_delivery d JOIN identity.webhook_endpoint e USING (endpoint_id)
            WHERE d.profile_id = ANY(\(ids)::uuid[]) OR d.other_id = ANY(\(ids)::uuid[])
            ORDER BY d.sequence
            """)
        let earlier = try await transaction.query(
            """
            SELECT DISTINCT e.endpoint_id, e.description, e.include_traits
            FROM identity.webhook_audience w JOIN identity.webhook_endpoint e USING (endpoint_id)
            WHERE w.profile_id = ANY(\(ids)::uuid[]) AND w.was_told
            ORDER BY e.endpoint_id
            """)
        return .array(
            try earlier.map { row in
                // Of what, and when, is kept no longer.
                [
                    "state": "delivered",
                    "endpointId": .string(try row.get("endpoint_id", as: WebhookEndpointID.self).description),
                    "description": .string(try row.get("description")),
                    "includeTraits": .bool(try row.get("include_traits")),
                ]
            }
                + rows.map { row in
                    [
                        "type": .string(try row.get("type")), "state": .string(try row.get("state")),
                        "occurredAt": .string(try row.get("occurred_at", as: Instant.self).rfc3339),
                        "endpointId": .string(
                            try row.get("endpoint_id", as: WebhookEndpointID.self).description),
                        "description": .string(try row.get("description")),
                        "includeTraits": .bool(try row.get("include_traits")),
                    ]
                })
    }

    static func shard(of endpoint: WebhookEndpointID) -> Shard { Shard(hashing: endpoint.description) }

    private func endpoints(in transaction: PostgresTransaction) async throws -> [WebhookEndpointID] {
        try await transaction.query("SELECT endpoint_id FROM identity.webhook_endpoint WHERE enabled").map {
            try $0.get("endpoint_id")
        }
    }

    /// The traits of those that the batch writes to, with those of everyone who is the same person after it.
    private func traitsBefore(
        _ resolver: Resolver, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: EffectiveTraits] {
        let roots = Set(resolver.changes.traits.keys.map { resolver.root(of: $0.profileID) })
        guard !roots.isEmpty else { return [:] }
        let merged = resolver.changes.merges.flatMap { [$0.survivor, $0.merged] }
        let ids = roots.union(merged.filter { roots.contains(resolver.root(of: $0)) }).sorted()
        var traits: [ProfileID: EffectiveTraits] = [:]
        let people = try await store.people(ids, in: transaction)
        let owners = Dictionary(
            people.flatMap { asked, person in person.memberIDs.map { ($0, resolver.root(of: asked)) } },
            uniquingKeysWith: { first, _ in first })
        for stored in try await store.storedTraits(of: owners.keys.sorted(), in: transaction) {
            guard let root = owners[stored.profileID] else { continue }
            traits[root, default: EffectiveTraits()].apply(stored.entry, to: stored.name)
        }
        return traits
    }

    private static func details(_ notice: ProfileNotice) -> JSON {
        var members: [String: JSON] = [:]
        if !notice.traits.isEmpty {
            members["changedTraits"] = .array(notice.traits.prefix(mostTraits).map(JSON.string))
            if notice.traits.count > mostTraits { members["hasMoreTraits"] = true }
        }
        if !notice.identifierTypes.isEmpty {
            members["addedIdentifierTypes"] = .array(notice.identifierTypes.map(JSON.string))
        }
        return .object(members)
    }
}
