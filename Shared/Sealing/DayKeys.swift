import FoundationEssentials
package import Models
package import Postgres
import Synchronization

/// A day of the calendar in UTC, as its number since 1970-01-01.
package struct SealingDay: Hashable, Comparable, Sendable {
    package let number: Int64

    package init(number: Int64) { self.number = number }

    package init(_ instant: Instant) {
        let (quotient, remainder) = instant.milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        number = remainder < 0 ? quotient - 1 : quotient
    }

    /// Midnight, with which it begins.
    package var start: Instant { Instant(milliseconds: number * 86_400_000) }

    package static func < (left: SealingDay, right: SealingDay) -> Bool { left.number < right.number }
}

/// The key of one day, to seal with.
package struct DayKey: Sendable {
    let name: String
    let key: SealingKey

    /// The text that stands for `bytes` at this place.
    package func seal(_ bytes: [UInt8], at place: String) throws(SealingError) -> [UInt8] {
        SealedText.text(try key.seal(bytes, at: place), under: name)
    }

    /// The text that stands for `text` at this place.
    package func seal(_ text: String, at place: String) throws(SealingError) -> String {
        String(decoding: try seal(Array(text.utf8), at: place), as: UTF8.self)
    }
}

/// The keys of one service, one per day, for what it keeps that has no profile's key: each is made when it is first
/// needed, by whichever instance, and destroying it ends whatever was sealed on its day.
package final class DayKeys: Sendable {
    private struct State {
        var keys: [SealingDay: SealingKey] = [:]
        var gone: [SealingDay: ContinuousClock.Instant] = [:]
    }

    /// Days that are held in memory.
    private static let limit = 4_000

    private let schema: String
    /// Whose keys they are.
    package var service: ServiceName? { ServiceName.allCases.first { $0.schema == schema } }
    private let settings: PostgresSettings
    private let keys: KeyEncryptionKeys
    private let state = Mutex(State())

    /// `settings` are those of the service's own connections. Keys are read and made on one of their own, opened when
    /// it is needed: a key must be there for good before anything is sealed under it.
    package init(schema: String, settings: PostgresSettings, keys: KeyEncryptionKeys) {
        self.schema = schema
        self.settings = settings
        self.keys = keys
    }

    /// The key of a day, made if there is none yet.
    package func key(at now: Instant) async throws -> DayKey {
        let day = SealingDay(now)
        if let key = state.withLock({ $0.keys[day] }) { return DayKey(name: Self.name(day), key: key) }
        let connection = try await PostgresConnection.open(settings)
        if let key = try await read(day, on: connection) { return DayKey(name: Self.name(day), key: key) }
        let wrapped = try keys.wrap(.random(), at: place(day))
        try await connection.execute(
            """
            INSERT INTO \(unsafe: schema).day_key (day, kek_id, wrapped)
            VALUES (\(day.number), \(wrapped.kekID), \(wrapped.bytes)) ON CONFLICT (day) DO NOTHING
            """)
        // That of another instance, where it was quicker.
        guard let key = try await read(day, on: connection) else {
            throw SealingError.altered(place: "day_key")
        }
        return DayKey(name: Self.name(day), key: key)
    }

    /// The key of a day, where this process has it already.
    package func known(at now: Instant) -> DayKey? {
        let day = SealingDay(now)
        return state.withLock { $0.keys[day] }.map { DayKey(name: Self.name(day), key: $0) }
    }

    /// What a sealed text says, or a text that is not sealed itself; nil when the key of its day was destroyed.
    package func open(_ text: String, at place: String) async throws -> String? {
        guard let (name, sealed) = SealedText.read(text) else { return text }
        guard let day = Self.day(name) else { throw SealingError.altered(place: place) }
        guard let key = try await key(of: day) else { return nil }
        return String(decoding: try key.open(sealed, at: place), as: UTF8.self)
    }

    /// The bytes that a sealed text stands for, or bytes that are not sealed themselves; nil when the key of its day was
    /// destroyed.
    package func openBytes(_ bytes: [UInt8], at place: String) async throws -> [UInt8]? {
        guard bytes.first == UInt8(ascii: "~"), bytes.dropFirst().first == UInt8(ascii: "d"),
            let (name, sealed) = SealedText.read(String(decoding: bytes, as: UTF8.self)),
            let day = Self.day(name)
        else { return bytes }
        guard let key = try await key(of: day) else { return nil }
        return try key.open(sealed, at: place)
    }

    /// Destroys the keys of the days before one, and returns how many there were.
    package func destroy(before day: SealingDay, in session: some PostgresSession) async throws -> Int {
        let count = try await session.execute(
            "DELETE FROM \(unsafe: schema).day_key WHERE day < \(day.number)")
        state.withLock { state in state.keys = state.keys.filter { $0.key >= day } }
        return count
    }

    private func key(of day: SealingDay) async throws -> SealingKey? {
        let known: SealingKey?? = state.withLock { state in
            if let key = state.keys[day] { return .some(key) }
            if let since = state.gone[day], ContinuousClock.now - since < .seconds(60) { return .some(nil) }
            return nil
        }
        if let known { return known }
        let connection = try await PostgresConnection.open(settings)
        return try await read(day, on: connection)
    }

    /// Reads a key, and all that are not known yet along with it.
    private func read(_ day: SealingDay, on connection: PostgresConnection) async throws -> SealingKey? {
        let rows = try await connection.query(
            """
            SELECT day, kek_id, wrapped FROM \(unsafe: schema).day_key
            ORDER BY day = \(day.number) DESC, day DESC LIMIT \(Int64(Self.limit / 2))
            """)
        var found: [SealingDay: SealingKey] = [:]
        for row in rows {
            let each = SealingDay(number: try row.get("day"))
            if state.withLock({ $0.keys[each] != nil }) { continue }
            do {
                found[each] = try keys.unwrap(
                    WrappedKey(kekID: try row.get("kek_id"), bytes: try row.get("wrapped")), at: place(each))
            } catch {
                // Another day's key is none of this one's business.
                if each == day { throw error }
            }
        }
        return state.withLock { state in
            if state.keys.count > Self.limit { state.keys = [:] }
            state.keys.merge(found) { $1 }
            let key = state.keys[day]
            // One of today may be made at any moment; one of long ago that is gone is gone.
            if key == nil, let newest = state.keys.keys.max(), day.number < newest.number - 1 {
                if state.gone.count > Self.limit { state.gone = [:] }
                state.gone[day] = .now
            }
            return key
        }
    }

    private func place(_ day: SealingDay) -> String { Self.place(of: day.number, in: schema) }

    static func place(of day: Int64, in schema: String) -> String { "day_key \(schema) \(day)" }
    private static func name(_ day: SealingDay) -> String { "d\(day.number)" }
    private static func day(_ name: Substring) -> SealingDay? {
        name.first == "d" ? Int64(name.dropFirst()).map { SealingDay(number: $0) } : nil
    }
}

// MARK: JSON

extension DayKey {
    /// What stands for a value in a column of JSON: a string.
    package func seal(_ value: JSON, at place: String) throws(SealingError) -> JSON {
        .string(try seal(value.compact, at: place))
    }
}

extension DayKeys {
    /// What a sealed value of a column of JSON says, or a value that is not sealed itself; `null` when the key of its day
    /// was destroyed.
    package func open(_ value: JSON, at place: String) async throws -> JSON {
        guard case .string(let text) = value, text.utf8.first == UInt8(ascii: "~") else { return value }
        return try await openJSON(text, at: place)
    }

    /// The JSON in a column of text that may be sealed; `null` when the key of its day was destroyed.
    package func openJSON(_ text: String, at place: String) async throws -> JSON {
        guard let opened = try await open(text, at: place) else { return .null }
        return try JSONParser.parse(Array(opened.utf8)[...])
    }
}
