import IdentityDomain
import Models
import ProfileStore
import Sealing
import ServiceKit

/// The records of a call that starts a job, each read by itself: a bad one costs none of the others.
struct MatchingImport: Sendable {
    /// Bytes of the call, unpacked.
    static let mostBytes = 32 << 20
    static let mostRecords = 50_000
    /// Bytes of everything but the records.
    static let definitionBytes = 64 << 10

    /// A body taken apart: what says how to match, and the text of each record.
    struct Body {
        let definition: JSON
        /// Nil where the call brings none.
        let records: [ArraySlice<UInt8>]?

        init(_ bytes: [UInt8]) throws {
            let texts = try JSONParser.members(of: bytes[...])
            let records = texts.last { $0.key == "records" }?.value
            guard bytes.count - (records?.count ?? 0) <= definitionBytes else {
                throw Problem.tooLarge(limit: definitionBytes)
            }
            var members: [String: JSON] = [:]
            for (name, text) in texts where name != "records" { members[name] = try JSONParser.parse(text) }
            definition = .object(members)
            self.records = try records.map { text throws in
                guard text.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "[")
                else { throw Self.badRecords }
                let elements = try JSONParser.elements(of: text)
                guard (1...mostRecords).contains(elements.count) else { throw Self.badRecords }
                return elements
            }
        }

        private static var badRecords: Problem {
            .badRequest(
                "`records` must be an array of 1 to \(mostRecords) records; bring more in several jobs")
        }
    }

    /// What became of one record.
    struct Row: Sendable {
        let number: Int
        /// Nil where the id is none.
        let identifier: Identifier?
        let verdict: Result<ImportedRecord, ItemRefusal>

        var refusal: ItemRefusal? { if case .failure(let refusal) = verdict { refusal } else { nil } }
    }

    let rows: [Row]

    init(
        _ texts: [ArraySlice<UInt8>], of kind: Identifier.Kind, _ mapping: MatchMapping,
        _ policy: IdentityPolicy, now: Instant
    ) {
        var seen: [Identifier: Int] = [:]
        var rows: [Row] = []
        for (place, text) in texts.enumerated() {
            let number = place + 1
            var identifier: Identifier?
            let verdict = Result { () throws(ItemRefusal) in
                let json = try Self.json(text)
                do throws(DecodingProblem) {
                    let id = try ImportedRecord.identifier(of: json, kind, policy)
                    identifier = id
                    if let first = seen[id] {
                        throw DecodingProblem(
                            path: "id", expected: "an id of its own",
                            message: "id must be its own; that of row \(first) is the same")
                    }
                    let record = try ImportedRecord(json, id, mapping, policy, now: now)
                    seen[id] = number
                    return record
                } catch {
                    throw ItemRefusal(error)
                }
            }
            rows.append(Row(number: number, identifier: identifier, verdict: verdict))
        }
        self.rows = rows
    }

    private static func json(_ text: ArraySlice<UInt8>) throws(ItemRefusal) -> JSON {
        guard text.count <= ProfileUpsert.itemBytes else {
            throw ItemRefusal("a record may have at most \(ProfileUpsert.itemBytes) bytes")
        }
        do throws(JSONError) {
            return try JSONParser.parse(text, limits: .init(maxDepth: ProfileUpsert.depth + 2))
        } catch {
            throw ItemRefusal(error)
        }
    }

    var refused: [Row] { rows.filter { $0.refusal != nil } }
}

extension MatchingImport.Row {
    /// The verdict of a record that was refused.
    var json: JSON {
        var members: [String: JSON] = ["row": .integer(Int64(number))]
        members["reason"] = refusal.map { .string($0.reason) }
        if let path = refusal?.path, !path.isEmpty { members["path"] = .string(path) }
        return .object(members)
    }
}
