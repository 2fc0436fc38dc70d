/// A place whose law a purpose is for: a country (ISO 3166-1), a part of one (ISO 3166-2: `US-CA`), or `EU` or `EEA`.
package struct Jurisdiction: Hashable, Sendable {
    package let code: String

    /// Capital letters and digits alone.
    package init?(_ code: String) {
        let parts = code.split(separator: "-", omittingEmptySubsequences: false)
        guard let country = parts.first, parts.count <= 2 else { return nil }
        let isCountry = country.utf8.count == 2 && country.utf8.allSatisfy { (65...90).contains($0) }
        let isPart =
            parts.count == 1
            || (1...3).contains(parts[1].utf8.count)
                && parts[1].utf8.allSatisfy { (65...90).contains($0) || (48...57).contains($0) }
        guard code == "EEA" || isCountry && isPart else { return nil }
        self.code = code
    }

    /// What people write as their country, if it can be one.
    package init?(loosely text: String) { self.init(text.uppercased()) }

    /// Whether somebody there is here.
    package func covers(_ other: Jurisdiction) -> Bool {
        if code == other.code || other.code.hasPrefix(code + "-") { return true }
        let country = String(other.code.prefix(2))
        switch code {
        case "EU": return other.code != "EEA" && Self.union.contains(country)
        case "EEA": return other.code == "EU" || Self.union.contains(country) || Self.area.contains(country)
        default: return false
        }
    }

    private static let union: Set<String> = [
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT",
        "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    ]
    private static let area: Set<String> = ["IS", "LI", "NO"]
}
