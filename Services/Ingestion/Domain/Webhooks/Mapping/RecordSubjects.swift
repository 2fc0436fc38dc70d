package import Models

/// Whom a record that gives no event may be about, so that what is kept of it is found when that person is erased.
package enum RecordSubjects {
    /// Names of one record; whoever lists more people than that in one is not sending a record of a person.
    package static let limit = 64
    /// Texts that are looked at.
    private static let visited = 20_000

    /// Every e-mail address, phone number and vendor's id of a person in it, in the form that identity gives them.
    package static func found(in json: JSON) -> [String] {
        var found = Found()
        found.visit(json)
        return found.names
    }

    /// The same person's names as a record of a vendor may hold them: `stripe:cus_1` is `cus_1` there.
    package static func aliases(of name: String) -> [String] {
        guard let colon = name.lastIndex(of: ":") else { return [] }
        let own = String(name[name.index(after: colon)...])
        if isVendorID(own) { return [own] }
        guard name.hasPrefix("shopify:"), !own.isEmpty, own.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else {
            return []
        }
        return ["gid://shopify/Customer/\(own)"]
    }

    private struct Found {
        var names: [String] = []
        private var seen: Set<String> = []
        private var left = RecordSubjects.visited

        mutating func visit(_ json: JSON) {
            guard left > 0, names.count < RecordSubjects.limit else { return }
            left -= 1
            switch json {
            case .string(let text): for name in RecordSubjects.names(in: text) { add(name) }
            case .array(let elements): for element in elements { visit(element) }
            // In one order, so that of too many the same are taken each time.
            case .object(let members):
                for (_, value) in members.sorted(by: { $0.key < $1.key }) { visit(value) }
            case .null, .bool, .integer, .double: break
            }
        }

        private mutating func add(_ name: String) {
            guard names.count < RecordSubjects.limit, seen.insert(name).inserted else { return }
            names.append(name)
        }
    }

    /// What a text names somebody by; a text that says more than a name is searched word by word.
    static func names(in text: String) -> [String] {
        guard text.utf8.count <= 4096 else { return [] }
        if let name = name(text) { return [name] }
        guard text.utf8.contains(UInt8(ascii: "@")) else { return [] }
        return text.split { $0.isWhitespace || "<>\"'(),;:[]".contains($0) }
            .compactMap { Identifier(.email, String($0))?.value }
    }

    private static func name(_ text: String) -> String? {
        if let email = Identifier(.email, text) { return email.value }
        if let phone = PhoneNumber(text) { return phone.digits }
        return isVendorID(text) ? text : nil
    }

    /// Ids of people as vendors make them: Stripe's customers, Shopify's global ids, Salesforce's contacts, leads,
    /// accounts and users (the first three characters say what an id is of).
    private static func isVendorID(_ text: String) -> Bool {
        let bytes = text.utf8
        if text.hasPrefix("cus_") { return (8...64).contains(bytes.count) && bytes.allSatisfy(isWordByte) }
        if text.hasPrefix("gid://shopify/Customer/") {
            return bytes.dropFirst(23).allSatisfy { (0x30...0x39).contains($0) } && bytes.count > 23
        }
        return [15, 18].contains(bytes.count)
            && ["003", "00Q", "001", "005"].contains(String(text.prefix(3)))
            && bytes.allSatisfy(isWordByte)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            || byte == UInt8(ascii: "_")
    }
}
