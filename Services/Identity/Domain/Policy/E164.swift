/// A telephone number in international form (ITU-T E.164): `+` and 8 to 15 digits.
package struct E164: Hashable, Sendable {
    package let text: String

    /// Reads a number as people write it. One without a country is taken for one of the default region; without that,
    /// nobody can tell whose it is, and it is nil.
    package init?(_ raw: String, defaultRegion: String?) {
        guard var digits = Self.digits(of: raw) else { return nil }
        if digits.hasPrefix("00") { digits = "+" + digits.dropFirst(2) }
        if !digits.hasPrefix("+") {
            guard let region = defaultRegion.flatMap({ Self.regions[$0] }) else { return nil }
            if !region.trunk.isEmpty, digits.hasPrefix(region.trunk) {
                digits = String(digits.dropFirst(region.trunk.count))
            }
            digits = "+" + region.code + digits
        }
        guard (9...16).contains(digits.utf8.count), !digits.hasPrefix("+0") else { return nil }
        text = digits
    }

    /// The digits, after a leading plus sign; nil for anything that is no number. The trunk zero that people put in
    /// parentheses after the country (`+41 (0)79`) is left out.
    private static func digits(of raw: String) -> String? {
        guard raw.utf8.count <= 40 else { return nil }
        var bytes = Array(raw.utf8)
        let hasCountry = bytes.first == UInt8(ascii: "+") || raw.hasPrefix("00")
        if hasCountry, let open = bytes.firstIndex(of: UInt8(ascii: "(")),
            bytes[open...].starts(with: Array("(0)".utf8))
        {
            bytes.removeSubrange(open..<open + 3)
        }
        var digits = ""
        for (place, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digits.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: "+") where place == 0: digits = "+"
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "("),
                UInt8(ascii: ")"), UInt8(ascii: "/"):
                break
            default: return nil
            }
        }
        return digits
    }

    /// Whether numbers without a country can be read there.
    package static func knows(region: String) -> Bool { regions[region] != nil }

    /// The country code, and what is dialled before a number within the country (ITU-T E.164 Annex, E.129).
    private static let regions: [String: (code: String, trunk: String)] = [
        "AE": ("971", "0"), "AR": ("54", "0"), "AT": ("43", "0"), "AU": ("61", "0"), "BE": ("32", "0"),
        "BG": ("359", "0"), "BR": ("55", "0"), "CA": ("1", "1"), "CH": ("41", "0"), "CL": ("56", ""),
        "CN": ("86", "0"), "CO": ("57", ""), "CZ": ("420", ""), "DE": ("49", "0"), "DK": ("45", ""),
        "EE": ("372", ""), "EG": ("20", "0"), "ES": ("34", ""), "FI": ("358", "0"), "FR": ("33", "0"),
        "GB": ("44", "0"), "GR": ("30", ""), "HR": ("385", "0"), "HU": ("36", "06"), "ID": ("62", "0"),
        "IE": ("353", "0"), "IL": ("972", "0"), "IN": ("91", "0"), "IT": ("39", ""), "JP": ("81", "0"),
        "KE": ("254", "0"), "KR": ("82", "0"), "LI": ("423", ""), "LT": ("370", "0"), "LU": ("352", ""),
        "LV": ("371", ""), "MX": ("52", ""), "MY": ("60", "0"), "NG": ("234", "0"), "NL": ("31", "0"),
        "NO": ("47", ""), "NZ": ("64", "0"), "PH": ("63", "0"), "PL": ("48", ""), "PT": ("351", ""),
        "RO": ("40", "0"), "RS": ("381", "0"), "RU": ("7", "8"), "SA": ("966", "0"), "SE": ("46", "0"),
        "SG": ("65", ""), "SI": ("386", "0"), "SK": ("421", "0"), "TH": ("66", "0"), "TR": ("90", "0"),
        "UA": ("380", "0"), "US": ("1", "1"), "VN": ("84", "0"), "ZA": ("27", "0"),
    ]
}
