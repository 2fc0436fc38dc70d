import Models
import ProfileStore
import ServiceKit

/// What is searched for: the beginning of a name, an address, an id or a number.
struct SearchQuery: Sendable {
    /// What must hold in one field: each term is the beginning of something there.
    struct Clause: Hashable, Sendable {
        let field: SearchField
        let terms: [String]
    }

    /// One of them must hold.
    let clauses: [Clause]

    /// Refuses what is too short to be found by: the index knows 3 characters or more.
    init(prefix: String, fields: [SearchField]) throws(Problem) {
        clauses = fields.compactMap { field in
            let terms = field.terms(of: prefix)
            guard terms.contains(where: { SearchText.longestPrefix(of: $0) != nil }) else { return nil }
            return Clause(field: field, terms: terms)
        }
        if clauses.isEmpty {
            throw .badRequest(
                "`prefix` must have a word of at least \(SearchText.indexed.lowerBound) letters or digits",
                type: "search-too-short")
        }
    }

    /// What each clause asks of the index: all of these hashes.
    func hashes(under key: IdentifierKey) -> [[Int64]] {
        clauses.map { clause in
            clause.terms.compactMap { SearchText.longestPrefix(of: $0) }
                .map { key.searchHash(of: $0, in: clause.field.rawValue) }
        }
    }

    /// Whether a profile is found, by what holds for it now.
    func matches(identifiers: some Sequence<Identifier>, traits: [String: JSON]) -> Bool {
        clauses.contains { clause in
            let values =
                identifiers.filter { SearchField(identifier: $0.kind) == clause.field }.map(\.value)
                + traits.filter { SearchField(trait: $0.key) == clause.field }.compactMap(\.value.string)
            let held = values.flatMap { clause.field.terms(of: $0) }
            return clause.terms.allSatisfy { term in held.contains { $0.hasPrefix(term) } }
        }
    }
}
