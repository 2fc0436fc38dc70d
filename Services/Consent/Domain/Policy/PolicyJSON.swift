package import Models

// The policy as it is written. A mistake is told by its path; who reads the text knows the place of that.

extension ConsentPolicy {
    private static let mostPurposes = 200
    private static let mostThings = 5_000
    static let mostListed = 50

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        try fields.allow(["purposes", "requires"])
        self.init()
        let purposes = try fields.fields("purposes")
        guard purposes.members.count <= Self.mostPurposes else {
            throw fields.problem("purposes", expected: "at most \(Self.mostPurposes) purposes")
        }
        var read: [String: Purpose] = [:]
        for id in purposes.members.keys.sorted() {
            guard Purpose.isID(id) else {
                throw purposes.problem(
                    id,
                    expected: "under a name of 1 to 64 lower-case letters, digits, - and _, a letter first")
            }
            read[id] = try Purpose(id: id, try purposes.fields(id))
        }
        self.purposes = read
        guard fields["requires"] != nil else { return }
        let kinds = try fields.fields("requires")
        try kinds.allow(Set(Kind.allCases.map(\.rawValue)))
        var required: [Kind: [String: Requirement]] = [:]
        for kind in Kind.allCases where kinds[kind.rawValue] != nil {
            required[kind] = try requirements(kind, kinds)
        }
        requires = required
    }

    private func requirements(
        _ kind: Kind, _ kinds: JSONFields
    ) throws(DecodingProblem) -> [String: Requirement] {
        let fields = try kinds.fields(kind.rawValue)
        guard fields.members.count <= Self.mostThings else {
            throw kinds.problem(kind.rawValue, expected: "at most \(Self.mostThings) \(kind.rawValue)")
        }
        var found: [String: Requirement] = [:]
        for name in fields.members.keys.sorted() {
            guard (1...256).contains(name.utf8.count) else {
                throw fields.problem(name, expected: "under a name of 1 to 256 bytes")
            }
            found[name] = try requirement(name, of: kind, fields)
        }
        return found
    }

    private func requirement(
        _ name: String, of kind: Kind, _ fields: JSONFields
    ) throws(DecodingProblem) -> Requirement {
        if fields[name]?.array != nil { return Requirement(try needed(name, fields)) }
        guard kind == .events else {
            throw fields.problem(name, expected: "a list of purposes, all of which it needs")
        }
        let inner = try fields.fields(name)
        try inner.allow(["purposes", "otherwise"])
        let storage =
            inner["otherwise"] == nil
            ? EventStorage.count : try inner.choice("otherwise", as: EventStorage.self)
        guard storage != .full else {
            throw inner.problem("otherwise", expected: "\"pseudonymous\" or \"count\"")
        }
        return Requirement(try needed("purposes", inner), otherwise: storage)
    }

    private func needed(_ key: String, _ fields: JSONFields) throws(DecodingProblem) -> [String] {
        let expected = "a list of 1 to \(Self.mostListed) purposes that this policy has"
        let listed = try fields.array(key)
        guard (1...Self.mostListed).contains(listed.count) else {
            throw fields.problem(key, expected: expected)
        }
        var needed: [String] = []
        for (index, value) in listed.enumerated() {
            guard let id = value.string, purposes[id] != nil else {
                let path = "\(fields.path(of: key)).\(index)"
                throw DecodingProblem(
                    path: path, expected: "a purpose that this policy has",
                    message: "\(path) must be a purpose that this policy has, found "
                        + (value.string.map { "\"\($0.prefix(64))\"" } ?? value.kind))
            }
            needed.append(id)
        }
        return needed
    }

    package var json: JSON {
        var members: [String: JSON] = ["purposes": .object(purposes.mapValues(\.json))]
        if !requires.isEmpty {
            members["requires"] = .object(
                Dictionary(
                    uniqueKeysWithValues: requires.map { kind, named in
                        (kind.rawValue, .object(named.mapValues { $0.json(of: kind) }))
                    }))
        }
        return .object(members)
    }
}

extension ConsentPolicy.Requirement {
    fileprivate func json(of kind: ConsentPolicy.Kind) -> JSON {
        let listed = JSON.array(purposes.map { .string($0) })
        return kind == .events ? ["purposes": listed, "otherwise": .string(otherwise.rawValue)] : listed
    }
}
