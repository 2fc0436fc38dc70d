import Foundation
import Models

/// What a backup must not bring back, as consent has written it down.
struct RecallFile {
    struct Request {
        let id: String
        let type: String
        let regime: String
        let profiles: [ProfileID]

        /// The same one, of everybody whom either is of.
        func joined(with other: Request) -> Request {
            Request(
                id: id, type: type, regime: regime,
                profiles: profiles + other.profiles.filter { !profiles.contains($0) })
        }
    }

    struct ErasedIdentifier {
        let shard: Int64
        let type: String
        let hash: [UInt8]
        let at: Instant
    }

    struct EndedKey {
        let id: APIKeyID
        let at: Instant
        let isRevoked: Bool
    }

    var erasures: [Request] = []
    var restrictions: [Request] = []
    /// Of restrictions, by the id of their request.
    var liftings: Set<String> = []
    var identifiers: [ErasedIdentifier] = []
    /// As `POST /v1/consents/batch` takes them.
    var withdrawals: [JSON] = []

    /// Where the erasure of each request stands.
    private var positions: [String: Int] = [:]

    /// API keys that have ended, or end.
    var keys: [EndedKey] = []

    /// A last line without an end was being written when its machine went, and is told, not read.
    private(set) var isCutOff = false
    /// The numbers of lines that don't read: of a machine that went while it wrote, or of another version. One such line
    /// must not keep anybody else from being erased again.
    private(set) var unread: [Int] = []

    init(path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandProblem(
                "\(path) can't be read; give the file that consent has written (MARTLET_LEDGER_HEADS_DIRECTORY) by --list"
            )
        }
        isCutOff = !data.isEmpty && data.last != UInt8(ascii: "\n")
        var lines = data.split(separator: UInt8(ascii: "\n"))
        if isCutOff { lines.removeLast() }
        for (number, line) in lines.enumerated() {
            do {
                try take(try JSONFields(try JSONParser.parse(Array(line))))
            } catch {
                unread.append(number + 1)
            }
        }
    }

    private mutating func take(_ fields: JSONFields) throws {
        switch try fields.string("kind") {
        case "erasure":
            let request = try Self.request(fields)
            // Told once more with those who were merged into them meanwhile.
            if let known = positions[request.id] {
                erasures[known] = erasures[known].joined(with: request)
            } else {
                positions[request.id] = erasures.count
                erasures.append(request)
            }
        case "restriction": restrictions.append(try Self.request(fields))
        case "lifting": liftings.insert(try fields.string("id"))
        case "identifier":
            guard let hash = bytes(hexadecimal: try fields.string("hash")) else {
                throw fields.problem("hash", expected: "hexadecimal")
            }
            identifiers.append(
                ErasedIdentifier(
                    shard: try fields.integer("shard"), type: try fields.string("type"), hash: hash,
                    at: try fields.instant("at")))
        case "key":
            keys.append(
                EndedKey(
                    id: try fields.id("keyId"), at: try fields.instant("at"),
                    isRevoked: try fields.bool("revoked")))
        case "withdrawal":
            withdrawals.append([
                "subject": ["profileId": .string(try fields.string("profileId"))],
                "purpose": .string(try fields.string("purpose")),
                "action": .string(try fields.string("action")),
                "source": .string(Self.label(try fields.string("source"))),
                "occurredAt": .string(try fields.string("occurredAt")),
            ])
        default: throw fields.problem("kind", expected: "a kind that this version of martlet knows")
        }
    }

    private static func request(_ fields: JSONFields) throws -> Request {
        let profiles = try fields.array("profileIds").compactMap { $0.string.flatMap { ProfileID($0) } }
        return Request(
            id: try fields.string("id"), type: try fields.string("type"), regime: try fields.string("regime"),
            profiles: profiles)
    }

    /// What callers may name a source by.
    private static func label(_ source: String) -> String {
        String(
            source.prefix(128).map { character in
                character.isASCII
                    && (character.isLetter || character.isNumber || " -.:_/".contains(character))
                    ? character : "-"
            })
    }
}
