import Models

/// What profiles can be searched by.
enum SearchField: String, CaseIterable, Sendable {
    /// The words of the traits that hold a person's name.
    case name
    case email
    /// The caller's own ids: `userId`, and those of CRM and support systems.
    case externalID = "externalId"
    /// Telephone numbers among the identifiers and traits.
    case phone

    /// The traits that hold somebody's name or part of it.
    static let nameTraits: Set<String> = [
        "name", "firstName", "lastName", "fullName", "displayName", "first_name", "last_name", "full_name",
        "display_name", "givenName", "familyName", "middleName",
    ]
    /// The traits that hold a telephone number.
    static let phoneTraits: Set<String> = ["phone", "phoneNumber", "phone_number", "mobile", "mobilePhone"]

    /// Where a trait is searched by; nil for most.
    init?(trait name: String) {
        if Self.nameTraits.contains(name) {
            self = .name
        } else if Self.phoneTraits.contains(name) {
            self = .phone
        } else {
            return nil
        }
    }

    /// Where an identifier is searched by; devices are not.
    init?(identifier kind: Identifier.Kind) {
        switch kind.rawValue {
        case "anonymousId": return nil
        case "email": self = .email
        case "phone": self = .phone
        default: self = .externalID
        }
    }

    /// What a value is found by: the beginning of any word of a name, else that of the whole.
    func terms(of value: String) -> [String] {
        switch self {
        case .name: SearchText.words(value)
        case .email, .externalID: [SearchText.folded(value)].filter { !$0.isEmpty }
        case .phone: [SearchText.digits(value)].compactMap { $0 }
        }
    }
}
