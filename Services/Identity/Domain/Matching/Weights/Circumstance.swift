/// Why two people may agree in several fields at once without being one: they live in the same place, the same street,
/// the same house, or are of one family.
///
/// Fields that go together make pairs of two people look alike more often than their `u`s multiplied say, and a model
/// without a place for such pairs ends up learning neighbours instead of people. So pairs of two people are a mixture:
/// most agree by chance, some share a circumstance, in which its fields agree as they do for one person (three classes
/// instead of two for households: Larsen & Rubin, "Iterative automated record linkage using mixture models", 2001). How
/// many pairs share each is learned with the rest.
package struct Circumstance: Sendable, Equatable {
    package let name: String
    /// The columns that agree, as bits.
    let columns: UInt32

    private static let kinds: [(name: String, fields: Set<MatchField>)] = [
        ("the same place", place),
        ("the same street", place.union([.address])),
        ("the same house", place.union([.address, .streetNumber])),
        ("the same organisation", place.union([.address, .streetNumber, .organisation])),
        ("the same phone", place.union([.address, .streetNumber, .phone])),
        ("one family", place.union([.address, .streetNumber, .surname])),
        ("one family with one phone", place.union([.address, .streetNumber, .surname, .phone])),
    ]
    private static let place: Set<MatchField> = [.city, .postcode, .state, .country]

    /// Fields of which people who share all others still have their own.
    private static let own: Set<MatchField> = [
        .givenName, .middleName, .fullName, .dateOfBirth, .yearOfBirth, .nationalID,
    ]
    /// Fields that say more than in which town somebody lives.
    private static let fine: Set<MatchField> = [.postcode, .address, .phone, .organisation, .surname]

    /// Those that the columns of a schema can tell from chance and from being one person.
    static func all(_ schema: MatchSchema) -> [Circumstance] {
        guard schema.fields.contains(where: { own.contains($0) }) else { return [] }
        var found: [Circumstance] = []
        for kind in kinds {
            let columns = schema.fields.indices.filter { kind.fields.contains(schema.fields[$0]) }
            let bits = columns.reduce(UInt32(0)) { $0 | 1 << UInt32($1) }
            guard columns.count >= 2, columns.contains(where: { fine.contains(schema.fields[$0]) }),
                !found.contains(where: { $0.columns == bits })
            else { continue }
            found.append(Circumstance(name: kind.name, columns: bits))
        }
        return found
    }
}
