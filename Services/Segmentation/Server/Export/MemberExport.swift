import Models
import Postgres
import ProfileStore

/// Members with what callers want to know of them, read from one snapshot.
struct MemberExport {
    let profiles: ProfileStore
    let fields: [ExportField]

    struct Row {
        var member: MembershipStore.Member
        /// In the order of the fields; nil where nothing is known.
        var values: [JSON?]
    }

    func rows(
        of members: [MembershipStore.Member], in transaction: PostgresTransaction
    ) async throws -> [Row] {
        guard !fields.isEmpty, !members.isEmpty else { return members.map { Row(member: $0, values: []) } }
        let people = try await profiles.people(members.map(\.profileID), in: transaction)
        let owners = Dictionary(
            people.flatMap { id, person in person.memberIDs.map { ($0, id) } },
            uniquingKeysWith: { first, _ in first })
        let identifiers = try await identifiers(of: owners, in: transaction)
        let traits = try await traits(of: owners, in: transaction)
        return members.map { member in
            let id = member.profileID
            return Row(
                member: member,
                values: fields.map { field in
                    switch field {
                    case .identifier(let kind): identifiers[id]?[kind].map { .string($0) }
                    case .trait(let name): traits[id]?[name]
                    }
                })
        }
    }

    /// Of each kind the one that was seen last.
    private func identifiers(
        of owners: [ProfileID: ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [Identifier.Kind: String]] {
        let kinds = Set(
            fields.compactMap { if case .identifier(let kind) = $0 { kind } else { nil } })
        guard !kinds.isEmpty else { return [:] }
        var found: [ProfileID: [Identifier.Kind: String]] = [:]
        for stored in try await profiles.identifiers(of: Array(owners.keys), in: transaction)
        where kinds.contains(stored.identifier.kind) {
            guard let owner = owners[stored.profileID] else { continue }
            // They come with the latest first.
            if found[owner]?[stored.identifier.kind] == nil {
                found[owner, default: [:]][stored.identifier.kind] = stored.identifier.value
            }
        }
        return found
    }

    /// The values that hold.
    private func traits(
        of owners: [ProfileID: ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileID: EffectiveTraits] {
        let names = fields.compactMap { if case .trait(let name) = $0 { name } else { nil } }
        guard !names.isEmpty else { return [:] }
        var found: [ProfileID: EffectiveTraits] = [:]
        for stored in try await profiles.storedTraits(
            of: Array(owners.keys), named: names, in: transaction)
        {
            guard let owner = owners[stored.profileID] else { continue }
            found[owner, default: EffectiveTraits()].apply(stored.entry, to: stored.name)
        }
        return found
    }
}
