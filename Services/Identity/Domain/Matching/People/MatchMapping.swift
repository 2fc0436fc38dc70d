package import Models

/// By which fields people are compared, and where each is found among what is known of them.
///
/// A source is the name of a trait (`lastName`), a path into one (`address.city`), one word of it (`name#first`,
/// `name#last`), or `identifiers.email` and `identifiers.phone`, the address and the number that the person was seen with
/// last. Of a field's sources the first that has a value counts.
package struct MatchMapping: Sendable, Hashable {
    /// One field and its sources.
    package struct Column: Sendable, Hashable {
        package let field: MatchField
        package let sources: [MatchSource]
    }

    /// In the order of the fields' cases, so that the same mapping gives the same result however it was written.
    package let columns: [Column]
    package let schema: MatchSchema

    /// - Throws: `MatchSchemaProblem` where nobody could be told apart by the fields.
    package init(_ sources: [MatchField: [String]]) throws(MatchSchemaProblem) {
        columns = MatchField.allCases.compactMap { field in
            sources[field].map { Column(field: field, sources: $0.map { MatchSource($0) }) }
        }
        schema = try MatchSchema(columns.map(\.field))
    }

    /// What a record has of each field, in the order of the columns; nil when there is nothing to compare it by.
    package func values(traits: [String: JSON], identifiers: MatchIdentifiers) -> [String?]? {
        let values = columns.map { column -> String? in
            column.sources.lazy.compactMap { $0.value(traits: traits, identifiers: identifiers) }.first
        }
        let tells = zip(columns, values).contains { column, value in
            value != nil && column.field.comparator != .category
        }
        return tells ? values : nil
    }
}

/// The identifiers that people are compared by, as the identity policy writes them: of each type the one that counts.
package struct MatchIdentifiers: Sendable, Hashable {
    package let email: String?
    package let phone: String?

    /// Of several of a type the first counts.
    package init(_ identifiers: some Sequence<Identifier>) {
        var (email, phone): (String?, String?)
        for identifier in identifiers {
            switch identifier.kind {
            case .email: email = email ?? identifier.value
            case .phone: phone = phone ?? identifier.value
            default: break
            }
        }
        (self.email, self.phone) = (email, phone)
    }

    package static let none = MatchIdentifiers([])
}

/// Where a value is found.
package struct MatchSource: Sendable, Hashable {
    private enum Word: String { case first, last }

    /// As it was written.
    package let text: String
    private let path: String
    private let word: Word?

    /// The address among the identifiers.
    package static let email = "identifiers.email"
    /// The telephone number among them.
    package static let phone = "identifiers.phone"
    /// Scalars of a value that are looked at; nobody is told apart by what follows.
    private static let longest = 256

    package init(_ text: String) {
        self.text = text
        let word = text.lastIndex(of: "#").flatMap { Word(rawValue: String(text[text.index(after: $0)...])) }
        self.word = word
        path = word.map { String(text.dropLast($0.rawValue.count + 1)) } ?? text
    }

    package func value(traits: [String: JSON], identifiers: MatchIdentifiers) -> String? {
        if path == Self.email { return identifiers.email }
        if path == Self.phone { return identifiers.phone }
        guard let json = traits[path] ?? nested(traits) else { return nil }
        let raw = json.string ?? json.integer.map { String($0) }
        guard let raw else { return nil }
        let words = String(String.UnicodeScalarView(raw.unicodeScalars.prefix(Self.longest)))
            .split(whereSeparator: \.isWhitespace)
        switch word {
        case nil: return words.isEmpty ? nil : words.joined(separator: " ")
        case .first: return words.first.map { String($0) }
        // A single word is somebody's first name.
        case .last: return words.count > 1 ? words.last.map { String($0) } : nil
        }
    }

    private func nested(_ traits: [String: JSON]) -> JSON? {
        guard let dot = path.firstIndex(of: ".") else { return nil }
        return traits[String(path[..<dot])]?[path: String(path[path.index(after: dot)...])]
    }
}

extension MatchMapping {
    /// What is compared when nobody says otherwise: the names that Segment's specification gives to traits, and others
    /// that are in use.
    package static let standardSources: [MatchField: [String]] = [
        .givenName: [
            "firstName", "first_name", "firstname", "givenName", "given_name", "name#first", "fullName#first",
            "full_name#first",
        ],
        .middleName: ["middleName", "middle_name"],
        .surname: [
            "lastName", "last_name", "lastname", "familyName", "family_name", "surname", "name#last",
            "fullName#last", "full_name#last",
        ],
        .dateOfBirth: ["birthday", "birthdate", "birthDate", "dateOfBirth", "date_of_birth", "dob"],
        .sex: ["gender", "sex"],
        .address: [
            "address.street", "street", "streetAddress", "street_address", "addressLine1", "address1",
            "address",
        ],
        .city: ["address.city", "city", "town"],
        .postcode: [
            "address.postalCode", "address.postcode", "address.zip", "postalCode", "postal_code", "postcode",
            "zip", "zipCode", "zip_code",
        ],
        .state: ["address.state", "state"],
        .country: ["address.country", "country"],
        .phone: [MatchSource.phone, "phone", "phoneNumber", "phone_number", "mobile", "mobilePhone"],
        .email: [MatchSource.email, "email"],
    ]

    /// Traits of one field at most.
    private static let mostSources = 16
    private static let longestSource = 128

    /// Reads `{"surname":["lastName"],"city":["address.city"]}`.
    package init(json: JSON, at path: String) throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        try fields.allow(Set(MatchField.allCases.map(\.rawValue)))
        var sources: [MatchField: [String]] = [:]
        for field in MatchField.allCases where fields.members[field.rawValue] != nil {
            let names = try fields.array(field.rawValue).compactMap(\.string)
            guard names.count == (try fields.array(field.rawValue)).count,
                (1...Self.mostSources).contains(names.count),
                names.allSatisfy({ (1...Self.longestSource).contains($0.utf8.count) })
            else {
                throw fields.problem(
                    field.rawValue,
                    expected:
                        "1 to \(Self.mostSources) names of traits of at most \(Self.longestSource) bytes")
            }
            sources[field] = names
        }
        do throws(MatchSchemaProblem) {
            try self.init(sources)
        } catch {
            throw DecodingProblem(
                path: path, expected: "fields that tell people apart", message: "\(path): \(error)")
        }
    }

    package var json: JSON {
        .object(
            Dictionary(
                columns.map { ($0.field.rawValue, .array($0.sources.map { .string($0.text) })) },
                uniquingKeysWith: { first, _ in first }))
    }
}
