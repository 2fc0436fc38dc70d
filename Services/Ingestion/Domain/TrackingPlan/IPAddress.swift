/// An IP address, read strictly: IPv4 as four decimal numbers without leading zeros, IPv6 in the forms of RFC 4291,
/// section 2.2, without a zone. An IPv4 address mapped into IPv6 (`::ffff:203.0.113.77`) is that IPv4 address.
package enum IPAddress: Hashable, Sendable {
    case v4(UInt32)
    /// The upper and the lower half.
    case v6(UInt64, UInt64)

    package init?(_ text: String) {
        if let address = Self.ipv4(text[...]) {
            self = .v4(address)
        } else if let groups = Self.ipv6(text[...]) {
            if groups[..<5].allSatisfy({ $0 == 0 }), groups[5] == 0xFFFF {
                self = .v4(UInt32(groups[6]) << 16 | UInt32(groups[7]))
            } else {
                let halves = [groups[..<4], groups[4...]].map { half in
                    half.reduce(0 as UInt64) { $0 << 16 | UInt64($1) }
                }
                self = .v6(halves[0], halves[1])
            }
        } else {
            return nil
        }
    }

    /// The address without what tells one household from the next: `203.0.113.77` becomes `203.0.113.0`, and of
    /// IPv6 the first 48 bits stay.
    package var truncated: IPAddress {
        switch self {
        case .v4(let address): .v4(address & 0xFFFF_FF00)
        case .v6(let upper, _): .v6(upper & 0xFFFF_FFFF_FFFF_0000, 0)
        }
    }

    /// The text of an address, truncated; nil for what is no address.
    package static func truncated(_ text: String) -> String? { IPAddress(text)?.truncated.description }

    static func isIPv4(_ text: Substring) -> Bool { ipv4(text) != nil }

    static func isIPv6(_ text: Substring) -> Bool { ipv6(text) != nil }
}

// MARK: - Text

extension IPAddress: CustomStringConvertible {
    /// Dotted decimals, or the form of RFC 5952, section 4: lower case, without leading zeros, `::` for the
    /// longest run of at least two zeros, the first of equally long ones.
    package var description: String {
        switch self {
        case .v4(let address):
            return [24, 16, 8, 0].map { String(address >> $0 & 0xFF) }.joined(separator: ".")
        case .v6(let upper, let lower):
            let groups = [upper, lower].flatMap { half in
                [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> $0) }
            }
            func text(_ groups: ArraySlice<UInt16>) -> String {
                groups.map { String($0, radix: 16) }.joined(separator: ":")
            }
            let zeros = Self.longestZeros(groups)
            guard zeros.count >= 2 else { return text(groups[...]) }
            return text(groups[..<zeros.lowerBound]) + "::" + text(groups[zeros.upperBound...])
        }
    }

    private static func longestZeros(_ groups: [UInt16]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<index + 1
            }
        }
        return longest
    }

    private static func ipv4(_ text: Substring) -> UInt32? {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0"),
                part.allSatisfy(\.isDigit), let number = UInt8(Substring(part))
            else { return nil }
            address = address << 8 | UInt32(number)
        }
        return address
    }

    /// The eight groups.
    private static func ipv6(_ text: Substring) -> [UInt16]? {
        guard text.utf8.count <= 45 else { return nil }
        guard let gap = text.firstRange(of: "::") else {
            let groups = groups(text)
            return groups?.count == 8 ? groups : nil
        }
        guard let before = groups(text[..<gap.lowerBound], mayEndInIPv4: false),
            let after = groups(text[gap.upperBound...]), before.count + after.count <= 7
        else { return nil }
        return before + Array(repeating: 0, count: 8 - before.count - after.count) + after
    }

    /// Groups with colons between them, the last two perhaps written as IPv4; none of empty text.
    private static func groups(_ text: Substring, mayEndInIPv4: Bool = true) -> [UInt16]? {
        if text.isEmpty { return [] }
        var groups: [UInt16] = []
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let address = ipv4(Substring(part)) else { return nil }
                groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
                continue
            }
            guard (1...4).contains(part.count), part.allSatisfy(\.isHexDigit),
                let group = UInt16(Substring(part), radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
    }
}
