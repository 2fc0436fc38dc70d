import HTTPTypes
import IdentityDomain
import Models
import ServiceKit

/// Finding people by what they are known by. What they are known by is personal, and URLs are kept in logs: so it
/// stands in bodies.
struct LookupRoutes {
    let reading: ProfileReading
    let policies: PolicyRegistry
    private static let bodyBytes = 64 << 10
    private static let longestPrefix = 256
    /// Identifiers in one call; an answer may hold the profile of each.
    private static let mostIdentifiers = 200

    func add(to router: ServiceRouter) {
        router.post("/v1/profiles/lookup", scope: .profilesRead, touches: .identifiers) { request in
            let body = try await request.json(maxBytes: Self.bodyBytes)
            if body["identifiers"] != nil { return .json(try await lookUp(many: body)) }
            let identifier = try await policies.latest(in: reading.pool).identifier(json: body)
            guard let profile = try await reading.profile(of: identifier) else { throw Problem.noProfile }
            return .json(profile.json, headers: [.eTag: profile.etag])
        }
        router.post("/v1/profiles/search", scope: .profilesRead, touches: .identifiers) { request in
            try await search(try JSONFields(try await request.json(maxBytes: Self.bodyBytes)))
        }
    }

    /// A verdict for each, in their order.
    private func lookUp(many body: JSON) async throws -> JSON {
        let fields = try JSONFields(body)
        try fields.allow(["identifiers"])
        let items = try fields.array("identifiers")
        guard (1...Self.mostIdentifiers).contains(items.count) else {
            throw fields.problem("identifiers", expected: "1 to \(Self.mostIdentifiers) identifiers")
        }
        let policy = try await policies.latest(in: reading.pool)
        let asked = items.enumerated().map { index, item in
            Result { () throws(DecodingProblem) in
                try policy.identifier(json: item, at: "identifiers.\(index)")
            }
        }
        let found = try await reading.profiles(of: Set(asked.compactMap { try? $0.get() }))
        let verdicts = asked.enumerated().map { index, identifier -> JSON in
            let position = JSON.integer(Int64(index))
            switch identifier {
            case .failure(let problem): return ItemRefusal(problem).json(at: index)
            case .success(let identifier):
                guard let profile = found[identifier] else {
                    return ["position": position, "verdict": "unknown"]
                }
                return ["position": position, "verdict": "found", "profile": profile.json]
            }
        }
        return ["items": .array(verdicts)]
    }

    private func search(_ fields: JSONFields) async throws -> ServiceResponse {
        try fields.allow(["prefix", "fields", "limit", "cursor"])
        let prefix = try fields.string("prefix")
        guard prefix.utf8.count <= Self.longestPrefix, !prefix.containsControlCharacters else {
            throw fields.problem(
                "prefix", expected: "at most \(Self.longestPrefix) bytes of text without control characters")
        }
        let limit = try fields.optionalInteger("limit") ?? 20
        guard (1...100).contains(limit) else { throw fields.problem("limit", expected: "1 to 100") }
        let parts = try Cursor.decode(try fields.optionalString("cursor"), count: 1)
        let (items, next) = try await reading.profiles(
            matching: try SearchQuery(prefix: prefix, fields: try searchFields(fields)),
            after: try parts.map { parts throws(Problem) in try ProfileID(cursor: parts[0]) },
            limit: Int(limit))
        return .page(items, nextCursor: next.map { Cursor.encode([$0.description]) })
    }

    private func searchFields(_ fields: JSONFields) throws(DecodingProblem) -> [SearchField] {
        guard fields["fields"] != nil else { return SearchField.allCases }
        let names = try fields.array("fields")
        let wanted = names.compactMap { $0.string.flatMap(SearchField.init(rawValue:)) }
        guard !names.isEmpty, wanted.count == names.count, Set(wanted).count == wanted.count else {
            let known = SearchField.allCases.map(\.rawValue).joined(separator: ", ")
            throw fields.problem("fields", expected: "some of \(known), each once")
        }
        return wanted
    }
}

extension String {
    /// Whether anything in it moves a cursor or rings a bell (C0, DEL, C1).
    var containsControlCharacters: Bool {
        unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
    }
}
