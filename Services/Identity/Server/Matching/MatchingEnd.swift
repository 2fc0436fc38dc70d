import IdentityDomain
import Models
import Postgres
import ProfileStore
import Streams

/// One side of a pair: a profile, or a record that is none. A record goes by the identifier that its id is.
enum MatchingEnd: Hashable, Sendable {
    case profile(ProfileID)
    case record(IdentifierPlace)

    /// Reads `left_…` or `right_…`.
    init(_ side: String, of row: PostgresRow) throws {
        if let id = try row.get("\(side)_id", as: ProfileID?.self) {
            self = .profile(id)
            return
        }
        self = .record(
            IdentifierPlace(
                shard: try row.get("\(side)_shard"), kind: try Self.kind(try row.get("\(side)_type")),
                hash: try row.get("\(side)_hash")))
    }

    static func kind(_ text: String) throws -> Identifier.Kind {
        guard let kind = Identifier.Kind(rawValue: text) else {
            throw RetryLater("`\(text)` is no type of identifiers that this version knows")
        }
        return kind
    }

    var profileID: ProfileID? { if case .profile(let id) = self { id } else { nil } }

    var record: IdentifierPlace? { if case .record(let place) = self { place } else { nil } }

    /// What is derived from it.
    var name: String {
        switch self {
        case .profile(let id): id.description
        case .record(let place): "record \(place.kind.rawValue) \(ImportedRecord.text(of: place.hash))"
        }
    }
}

extension MatchingEnd: Comparable {
    static func < (left: MatchingEnd, right: MatchingEnd) -> Bool {
        switch (left, right) {
        case (.profile(let left), .profile(let right)): left < right
        case (.record(let left), .record(let right)): left < right
        case (.profile, .record): true
        case (.record, .profile): false
        }
    }
}

/// Two of whom something is known, in either order.
struct MatchingCouple: Hashable, Sendable {
    let first: MatchingEnd
    let second: MatchingEnd

    init(_ left: MatchingEnd, _ right: MatchingEnd) { (first, second) = (min(left, right), max(left, right)) }

    func contains(_ end: MatchingEnd) -> Bool { first == end || second == end }
}
