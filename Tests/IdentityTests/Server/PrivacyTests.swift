import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Access and erasure", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct PrivacyTests {
    private let events = [
        event(0, device: "phone"),
        event(1, .identify, user: "u", email: "secret@x.org", traits: ["plan": "pro"]),
        event(2, user: "u", device: "phone"), event(3, user: "other"),
    ]

    private func request(_ type: PrivacyRequest.Kind, in database: IdentityDatabase) async throws
        -> PrivacyRequest
    {
        let store = database.store
        let user = try #require(Identifier(.userID, "u"))
        let id = try #require(try await store.canonicalID(of: user, in: database.pool))
        let person = try #require(try await store.person(id, in: database.pool))
        return PrivacyRequest(
            id: PrivacyRequestID(UUIDv7.derived(at: start, from: "request")), type: type, profileID: id,
            profileIDs: person.memberIDs, requestedAt: start)
    }

    @Test("access gives everything that identity holds on the person, and nothing of others")
    func access() async throws {
        try await IdentityDatabase.with { database in
            try await database.publish(events)
            try await database.consumer().drain()
            let request = try await request(.access, in: database)
            let held = try await database.pool.transaction {
                try await database.privacy().access(request, in: $0)
            }
            #expect(held[path: "profile.traits.plan.value"] == "pro")
            let messages = held["timeline"]?.array?.compactMap { $0[path: "event.messageId"]?.string }
            #expect(messages?.sorted() == ["m0", "m1", "m2"])
            #expect(held["merges"]?.array?.count == 1)
            #expect(!held.compact.contains("other"))
        }
    }

    @Test("access shows the parted both that they were taken for one, and what was written about it")
    func accessOfTheParted() async throws {
        try await IdentityDatabase.with { database in
            try await database.publish([
                event(0, user: "u"), event(1, device: "phone"), event(2, user: "u", device: "phone"),
            ])
            try await database.consumer().drain()
            let merge = try await database.owner.query("SELECT merge_id FROM profiles.merge").first
            let id: MergeID = try #require(try merge?.get("merge_id"))
            let notes = MergeNotes(days: database.store.vault.days)
            let note = try await notes.seal("his sister's telephone", of: id, at: start)
            try await database.pool.transaction { transaction in
                _ = try await Merging(resolution: database.resolution, key: IdentityDatabase.key).undo(
                    id, StoredMerge.Step(at: start + .hours(1), by: "somebody", note: note), in: transaction)
            }
            for kind in [("userId", "u"), ("anonymousId", "phone")] {
                let identifier = try #require(
                    Identifier.Kind(rawValue: kind.0).flatMap { Identifier($0, kind.1) })
                let owner = try await database.store.canonicalIDs(of: [identifier], in: database.pool)[
                    identifier]
                let profile = try #require(owner)
                let request = PrivacyRequest(
                    id: PrivacyRequestID(UUIDv7.make(at: start)), type: .access, profileID: profile,
                    profileIDs: [profile], requestedAt: start)
                let held = try await database.pool.transaction {
                    try await database.privacy().access(request, in: $0)
                }
                #expect(held[path: "merges.0.mergeId"] == .string(id.description), "\(kind)")
                #expect(held[path: "merges.0.undone.note"] == "his sister's telephone")
            }
        }
    }

    @Test("erasure leaves nothing of the person, no gap in the stream, and everything of others")
    func erasure() async throws {
        try await IdentityDatabase.with { database in
            try await database.publish(events)
            try await database.consumer().drain()
            let before = try await database.timeline()
            let request = try await request(.erasure, in: database)
            let counts = try await database.pool.transaction {
                try await database.privacy().erase(request, in: $0)
            }
            #expect(
                counts == [
                    "profiles": 2, "identifiers": 3, "traits": 2, "timelineEntries": 3,
                    "webhookDeliveries": 0, "matchingProposals": 0, "matchingRecords": 0,
                    "unresolvedEvents": 0,
                ])
            let told = try await Outbox(schema: "identity", vault: database.store.vault)
                .bodies(to: .ingestion, in: database.pool)
            let subjects = told.first?["subjects"]?.array?.compactMap(\.string)
            #expect(Set(subjects ?? []).isSuperset(of: ["u", "phone", "secret@x.org"]))
            #expect(subjects?.count == 5)

            let after = try await database.timeline()
            #expect(after.count == before.count + 2)
            for (_, shard) in Dictionary(grouping: after, by: \.shard) {
                #expect(shard.map(\.offset) == Array(1...Int64(shard.count)))
            }
            let facts = try after.map { try ProfileFact(json: $0.body) }
            #expect(facts.compactMap(\.event).map(\.messageID) == ["m3"])
            #expect(facts.filter { $0.kind == .erased }.count == 5)
            let remains = try await database.owner.query(
                """
                SELECT (SELECT string_agg(t::text, '') FROM profiles.timeline t) AS timeline,
                       (SELECT string_agg(i::text, '') FROM profiles.identifier i) AS identifiers,
                       (SELECT count(*) FROM profiles.trait) AS traits
                """)
            let row = try #require(remains.first)
            #expect(!(try row.get("timeline", as: String.self)).contains("secret@x.org"))
            #expect(!(try row.get("identifiers", as: String.self)).contains("secret@x.org"))
            #expect(try row.get("traits", as: Int.self) == 0)

            // Whoever comes back is somebody new.
            try await database.publish([event(5, user: "u"), event(6, profile: request.profileID)])
            try await database.consumer().drain()
            let store = database.store
            let user = try #require(Identifier(.userID, "u"))
            let id = try #require(try await store.canonicalID(of: user, in: database.pool))
            #expect(!request.profileIDs.contains(id))
            let messages = try await database.timeline().compactMap {
                $0.body[path: "event.messageId"]?.string
            }
            #expect(messages.sorted() == ["m3", "m5"])
        }
    }
}
