import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import TestSupport
import Testing

@Suite(
    "The profile store", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ProfileStoreTests {
    private let store = ProfileStore(key: IdentifierKey(secret: "a secret"), vault: .ofTests)
    private let at = Instant(milliseconds: 1_700_000_000_000)
    private let anna = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 1), from: "anna"))
    private let phone = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 2), from: "phone"))
    private let ben = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 3), from: "ben"))
    private let stranger = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 4), from: "stranger"))

    /// Runs `body` on a database with the real tables of the services that write the store: Anna, into whom her
    /// phone was merged, and Ben.
    private func with(_ body: (PostgresPool, TestDatabase) async throws -> Void) async throws {
        let platform = Schema.platformMigrations
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: platform),
            Migrator(
                service: .identity,
                migrations: try Self.migrations(of: "Identity")),
            Migrator(
                service: .consent,
                migrations: try Self.migrations(of: "Consent")),
        ])
        let owner = database.pool()
        do {
            for (id, canonical) in [(anna, anna), (phone, anna), (ben, ben)] {
                try await owner.execute(
                    """
                    INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
                    VALUES (\(Shard(id)), \(id), \(canonical), \(at), \(at + .hours(id == phone ? -1 : 0)))
                    """)
            }
            try await body(owner, database)
            await owner.close()
        } catch {
            await owner.close()
            throw error
        }
    }

    /// The files that a service itself applies.
    private static func migrations(of service: String) throws -> [Migration] {
        let folder = "Services/\(service)/Server/Migrations"
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)
            .filter { $0.hasSuffix(".sql") }.sorted().map { try migration("\(folder)/\($0)") }
    }

    /// A file that is applied.
    private static func migration(_ path: String) throws -> Migration {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = root.appending(path: path)
        return Migration(
            resource: file.deletingPathExtension().lastPathComponent, bytes: Array(try Data(contentsOf: file))
        )
    }

    @Test("a merged profile leads to the canonical one, and a person has all of their profiles")
    func people() async throws {
        try await with { pool, _ in
            #expect(try await store.canonicalID(of: phone, in: pool) == anna)
            #expect(try await store.canonicalID(of: stranger, in: pool) == nil)
            let people = try await store.people([phone, ben, stranger], in: pool)
            #expect(people[phone]?.profileID == anna)
            #expect(people[phone]?.memberIDs == [anna, phone])
            #expect(people[phone]?.updatedAt == at)
            #expect(people[ben]?.memberIDs == [ben])
            #expect(people[stranger] == nil)
            #expect(try await store.people([], in: pool).isEmpty)
        }
    }

    @Test("an identifier is found by its keyed hash, whichever of a person's profiles it led to")
    func identifiers() async throws {
        try await with { pool, _ in
            let address = try #require(Identifier(.email, "Anna@x.org"))
            let place = store.key.place(of: address)
            try await pool.execute(
                """
                INSERT INTO profiles.identifier (shard, type, value_hash, value, profile_id, first_seen, last_seen)
                VALUES (\(place.shard), 'email', \(place.hash), \(address.value), \(phone), \(at), \(at))
                """)
            #expect(try await store.owner(of: address, in: pool) == phone)
            #expect(try await store.canonicalID(of: address, in: pool) == anna)
            let person = try #require(try await store.person(anna, in: pool))
            #expect(try await store.email(of: person, in: pool) == "anna@x.org")
            let other = ProfileStore(key: IdentifierKey(secret: "another secret"), vault: .ofTests)
            #expect(try await other.canonicalID(of: address, in: pool) == nil)
            #expect(
                try await store.canonicalID(of: #require(Identifier(.userID, "anna@x.org")), in: pool) == nil)
        }
    }

    @Test("the traits of a person are folded over their profiles, the latest by time and message winning")
    func traits() async throws {
        try await with { pool, _ in
            let source = SourceID(anna.uuid)
            let rows: [(ProfileID, String, JSON, Instant, String)] = [
                (anna, "plan", "pro", at, "b"), (phone, "plan", "free", at, "a"),
                (phone, "city", "Bern", at, "a"),
                (anna, "city", .null, at + .seconds(1), "c"), (ben, "plan", "basic", at + .days(1), "z"),
            ]
            for (id, name, value, occurredAt, message) in rows {
                try await pool.execute(
                    """
                    INSERT INTO profiles.trait VALUES
                        (\(Shard(id)), \(id), \(name), \(value)::jsonb, \(occurredAt), \(message), \(source))
                    """)
            }
            let person = try #require(try await store.person(phone, in: pool))
            let traits = try await store.traits(of: person, in: pool)
            #expect(traits.values == ["plan": "pro"])
            #expect(try await store.storedTraits(of: person.memberIDs, in: pool).count == 4)
        }
    }

    @Test("of two decisions the later holds; while it is locked for a send, no withdrawal comes between")
    func consent() async throws {
        try await with { pool, database in
            for (id, state, offset) in [(anna, "granted", 0), (phone, "withdrawn", -60)] {
                try await pool.execute(
                    """
                    INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
                    VALUES (\(Shard(id)), \(id), 'marketing', \(state), \(at + .seconds(offset)), \(id))
                    """)
            }
            let person = try #require(try await store.person(anna, in: pool))
            let delivery = database.pool(as: .delivery)
            let consent = database.pool(as: .consent)
            try await delivery.transaction { transaction in
                let held = try await store.lockConsent(of: person, purpose: "marketing", in: transaction)
                #expect(held?.state == .granted)
                #expect(held?.profileID == anna)
                #expect(try await store.lockConsent(of: person, purpose: "other", in: transaction) == nil)
                // The ledger's service waits; here it is told not to.
                let error = await #expect(throws: PostgresError.self) {
                    try await consent.transaction { other in
                        try await other.execute("SET LOCAL lock_timeout = '50ms'")
                        try await other.execute(
                            "UPDATE profiles.consent_state SET state = 'withdrawn' WHERE profile_id = \(anna)"
                        )
                    }
                }
                #expect(error?.sqlState == "55P03")
            }
            #expect(try await store.consents(of: person, in: delivery)["marketing"]?.state == .granted)
            await delivery.close()
            await consent.close()
        }
    }

    @Test("a service may read the store, and write its own tables alone")
    func grants() async throws {
        try await with { _, database in
            for service in [ServiceName.delivery, .journeys, .consent, .segmentation] {
                let pool = database.pool(as: service)
                let person = try await store.person(anna, in: pool)
                #expect(person?.profileID == anna)
                let error = await #expect(throws: PostgresError.self) {
                    try await pool.execute("DELETE FROM profiles.profile")
                }
                #expect(error?.sqlState == "42501")
                await pool.close()
            }
        }
    }
}
