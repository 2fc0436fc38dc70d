import Logging
import Models
import Postgres
import Sealing
import ServiceKit
import TestSupport
import Testing

/// Data keys as they lie in a database.
@Suite(
    "Data keys", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct SealedDatabaseTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)
    private let anna = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 1), from: "anna"))
    private let ben = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 2), from: "ben"))
    private let old = KeyEncryptionKeys.Entry.random()
    private let new = KeyEncryptionKeys.Entry.random()

    private struct World {
        let database: TestDatabase
        /// With the rights of identity.
        let pool: PostgresPool
        let owner: PostgresPool

        /// A process of identity's that was given these keys.
        func identity(_ entries: [KeyEncryptionKeys.Entry]) -> Vault {
            Vault(
                schema: "identity", settings: database.settings(as: .identity),
                keys: KeyEncryptionKeys(entries))
        }
    }

    private func with(_ body: (World) async throws -> Void) async throws {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .identity, migrations: []),
        ])
        let world = World(
            database: database, pool: database.pool(as: .identity), owner: database.pool())
        do {
            try await body(world)
            await world.pool.close()
            await world.owner.close()
        } catch {
            await world.pool.close()
            await world.owner.close()
            throw error
        }
    }

    // MARK: Keys of days

    @Test("a day has one key, however many processes come to need it at once")
    func oneKeyADay() async throws {
        try await with { world in
            let vaults = (0..<8).map { _ in world.identity([old]) }
            let sealed = try await withThrowingTaskGroup(of: String.self) { group in
                for vault in vaults {
                    group.addTask { try await vault.days.key(at: now).seal("ada", at: "place") }
                }
                return try await group.reduce(into: [String]()) { $0.append($1) }
            }
            for vault in vaults {
                for text in sealed { #expect(try await vault.days.open(text, at: "place") == "ada") }
            }
            #expect(try await world.owner.query("SELECT FROM identity.day_key").count == 1)
        }
    }

    @Test("destroying the keys of days that are over ends what was sealed on them, and nothing else")
    func retention() async throws {
        try await with { world in
            let vault = world.identity([old])
            let yesterday = try await vault.days.key(at: now - .days(1)).seal("old", at: "place")
            let today = try await vault.days.key(at: now).seal("new", at: "place")
            #expect(try await vault.days.destroy(before: SealingDay(now), in: world.pool) == 1)
            for process in [vault, world.identity([old])] {
                #expect(try await process.days.open(yesterday, at: "place") == nil)
                #expect(try await process.days.open(today, at: "place") == "new")
            }
        }
    }

    @Test("a data key that was changed in the database, or is another row's, opens nothing")
    func tampering() async throws {
        try await with { world in
            _ = try await world.identity([old]).days.key(at: now)
            _ = try await world.identity([old]).days.key(at: now + .days(1))
            // The one of the next day in the place of today's.
            try await world.owner.execute(
                """
                UPDATE identity.day_key SET wrapped = (SELECT wrapped FROM identity.day_key ORDER BY day DESC LIMIT 1)
                """)
            let reader = world.identity([old])
            await #expect(throws: SealingError.altered(place: "day_key")) {
                try await reader.days.key(at: now)
            }
            // A key of the same name that is another one.
            let impostor = KeyEncryptionKeys.Entry(id: old.id, key: .random())
            let stranger = world.identity([impostor])
            await #expect(throws: SealingError.altered(place: "day_key")) {
                try await stranger.days.key(at: now + .days(1))
            }
        }
    }

    // MARK: Keys of profiles

    @Test("a profile's key is made once, also by two transactions at once, and erasing destroys it for good")
    func profileKeys() async throws {
        try await with { world in
            let (one, other) = (world.identity([old]), world.identity([old]))
            let seal: @Sendable (Vault, String) async throws -> String = { vault, text in
                try await world.pool.transaction { transaction in
                    try await vault.profiles.writing([anna, ben], in: transaction)
                        .seal(text, of: anna, at: "place")
                }
            }
            async let first = seal(one, "first")
            async let second = seal(other, "second")
            let texts = try await [first, second, seal(one, "third")]
            for vault in [one, other, world.identity([old])] {
                let keyring = try await vault.profiles.reading([anna], in: world.pool)
                #expect(
                    try texts.map { try keyring.open($0, of: anna, at: "place") } == [
                        "first", "second", "third",
                    ])
                #expect(throws: SealingError.self) { try keyring.open(texts[0], of: anna, at: "elsewhere") }
            }
            let count = try await world.pool.transaction {
                try await one.profiles.destroy([anna], in: $0)
            }
            #expect(count == 1)
            let after = try await world.identity([old]).profiles.reading([anna, ben], in: world.pool)
            #expect(try after.open(texts[0], of: anna, at: "place") == nil)
            // Whoever had it in memory learns of it when it reads what the database has.
            let current = try await other.profiles.current([anna], in: world.pool)
            #expect(try current.open(texts[0], of: anna, at: "place") == nil)
            let left = try await world.owner.query("SELECT profile_id FROM profiles.data_key")
            #expect(try left.map { try $0.get("profile_id", as: ProfileID.self) } == [ben])
        }
    }

    @Test("profiles that have a key are written with by reading it, whoever has it in memory")
    func writingReads() async throws {
        try await with { world in
            _ = try await world.pool.transaction { transaction in
                try await world.identity([old]).profiles.writing([anna, ben], new: [anna], in: transaction)
            }
            // Nothing can be made in here.
            let text = try await world.pool.transaction { transaction in
                try await transaction.execute("SET TRANSACTION READ ONLY")
                return try await world.identity([old]).profiles.writing([anna, ben], in: transaction)
                    .seal("ada", of: ben, at: "place")
            }
            let keyring = try await world.identity([old]).profiles.reading([ben], in: world.pool)
            #expect(try keyring.open(text, of: ben, at: "place") == "ada")
        }
    }

    @Test("of instances that bring the same profile into being, or meet one without a key, one makes the key")
    func racingWriters() async throws {
        try await with { world in
            let vaults = (0..<6).map { _ in world.identity([old]) }
            for (id, new) in [(anna, Set([anna])), (ben, Set<ProfileID>())] {
                let texts = try await withThrowingTaskGroup(of: String.self) { group in
                    for (place, vault) in vaults.enumerated() {
                        group.addTask {
                            try await world.pool.transaction { transaction in
                                // Half of them know that it is new.
                                try await vault.profiles.writing(
                                    [id], new: place.isMultiple(of: 2) ? new : [], in: transaction
                                ).seal("ada", of: id, at: "place")
                            }
                        }
                    }
                    return try await group.reduce(into: [String]()) { $0.append($1) }
                }
                for vault in vaults {
                    let keyring = try await vault.profiles.reading([id], in: world.pool)
                    for text in texts { #expect(try keyring.open(text, of: id, at: "place") == "ada") }
                }
            }
            #expect(try await world.owner.query("SELECT FROM profiles.data_key").count == 2)
        }
    }

    @Test("a key that was rolled back is not remembered")
    func rollback() async throws {
        try await with { world in
            struct Undone: Error {}
            let vault = world.identity([old])
            await #expect(throws: Undone.self) {
                try await world.pool.transaction { transaction in
                    _ = try await vault.profiles.writing([anna], in: transaction)
                    _ = try await vault.profiles.reading([anna], in: transaction)
                    throw Undone()
                }
            }
            let text = try await world.pool.transaction { transaction in
                try await world.identity([old]).profiles.writing([anna], in: transaction)
                    .seal("ada", of: anna, at: "place")
            }
            let keyring = try await vault.profiles.reading([anna], in: world.pool)
            #expect(try keyring.open(text, of: anna, at: "place") == "ada")
        }
    }

    // MARK: Rotation

    @Test(
        "the key-encryption key is put by for a new one while processes with the old list and the new one work on"
    )
    func rotation() async throws {
        try await with { world in
            let before = world.identity([old])
            func seal(_ vault: Vault, _ text: String, _ id: ProfileID) async throws -> (String, String) {
                let profile = try await world.pool.transaction { transaction in
                    try await vault.profiles.writing([id], in: transaction).seal(text, of: id, at: "place")
                }
                return (try await vault.days.key(at: now).seal(text, at: "place"), profile)
            }
            func check(_ vault: Vault, _ sealed: (String, String), _ text: String, _ id: ProfileID)
                async throws
            {
                #expect(try await vault.days.open(sealed.0, at: "place") == text)
                let keyring = try await vault.profiles.reading([id], in: world.pool)
                #expect(try keyring.open(sealed.1, of: id, at: "place") == text)
            }
            let first = try await seal(before, "first", anna)
            // One instance has the new list already, the other not yet.
            let after = world.identity([new, old])
            try await check(after, first, "first", anna)
            let second = try await seal(after, "second", anna)
            try await check(before, second, "second", anna)

            let rewrapping = KeyRewrapping(pool: world.owner, keys: KeyEncryptionKeys([new, old]))
            #expect(try await rewrapping.counts() == [old.id: 2])
            #expect(try await rewrapping.run() == 2)
            #expect(try await rewrapping.counts() == [new.id: 2])
            // Both go on with what they have in memory, and what either seals now opens for the other.
            let third = try await seal(after, "third", ben)
            try await check(before, first, "first", anna)
            try await check(after, first, "first", anna)
            try await check(world.identity([new]), third, "third", ben)
            // One that was started with the old list alone says which key it lacks.
            let stale = world.identity([old])
            await #expect(throws: SealingError.unknownKey(id: new.id)) { try await stale.days.key(at: now) }
            // The old key is needed no longer.
            for (sealed, text, id) in [
                (first, "first", anna), (second, "second", anna), (third, "third", ben),
            ] {
                try await check(world.identity([new]), sealed, text, id)
            }
            #expect(try await rewrapping.run() == 0)
        }
    }

    @Test("wrapping anew without the key that is needed changes nothing and says which it is")
    func rewrappingWithoutKey() async throws {
        try await with { world in
            _ = try await world.identity([old]).days.key(at: now)
            let rewrapping = KeyRewrapping(pool: world.owner, keys: KeyEncryptionKeys([new]))
            await #expect(throws: SealingError.unknownKey(id: old.id)) { try await rewrapping.run() }
            #expect(try await rewrapping.counts() == [old.id: 1])
        }
    }
}
