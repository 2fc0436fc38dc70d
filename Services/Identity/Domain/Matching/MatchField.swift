/// What a column of records holds, as far as telling people apart goes. Naming the fields of the columns is all
/// that a data set needs: everything else is learned from it.
package enum MatchField: String, CaseIterable, Sendable {
    case givenName, middleName, surname, fullName
    case dateOfBirth, yearOfBirth, age
    case sex
    case streetNumber, address, city, postcode, state, country
    case phone, email
    /// A number that a state or a company gave to one person.
    case nationalID = "nationalId"
    case organisation
    /// Words of no other kind: a place of birth, an occupation.
    case text
    /// A code or number of no other kind.
    case code

    /// How values of the field are compared.
    package var comparator: Comparator {
        switch self {
        case .givenName, .middleName, .surname: .name
        case .city: .place
        case .fullName, .address, .organisation, .text: .words
        case .dateOfBirth: .date
        case .yearOfBirth, .age: .number
        case .sex, .state, .country: .category
        case .streetNumber, .postcode, .nationalID, .code: .code
        case .phone: .phone
        case .email: .email
        }
    }

    /// Columns with the same family may have been swapped: a surname typed where the given name belongs.
    var family: Int? {
        switch self {
        case .givenName, .surname: 0
        case .address: 1
        default: nil
        }
    }
}

/// The columns of the records, in order.
package struct MatchSchema: Sendable, Hashable {
    package let fields: [MatchField]

    /// More columns than this are refused.
    package static let mostFields = 16

    /// - Throws: `MatchSchemaProblem` where nobody could be told apart by the fields.
    package init(_ fields: [MatchField]) throws(MatchSchemaProblem) {
        guard !fields.isEmpty else { throw .noFields }
        guard fields.count <= Self.mostFields else { throw .tooManyFields(limit: Self.mostFields) }
        guard fields.contains(where: { $0.comparator != .category }) else { throw .onlyCategories }
        self.fields = fields
    }
}

/// Why columns cannot be matched on.
package enum MatchSchemaProblem: Error, Equatable, CustomStringConvertible {
    case noFields
    case tooManyFields(limit: Int)
    case onlyCategories

    package var description: String {
        switch self {
        case .noFields: "no column is named to match on"
        case .tooManyFields(let limit): "at most \(limit) columns can be matched on"
        case .onlyCategories: "sex, state and country alone tell nobody apart: name a column more"
        }
    }
}
