package import Models

extension Purpose {
    private static let mostLanguages = 50
    private static let longestText = 10_000

    /// Reads a purpose of a policy.
    init(id: String, _ fields: JSONFields) throws(DecodingProblem) {
        try fields.allow([
            "name", "legalBasis", "text", "jurisdictions", "channels", "directMarketing", "saleOrSharing",
            "sensitiveData", "recipient", "lasts", "signals",
        ])
        let text = try fields.fields("text")
        try text.allow(["version", "languages"])
        self.init(
            id: id, name: try Self.text("name", fields, limit: 256),
            legalBasis: try fields.choice("legalBasis"),
            textVersion: try Self.text(
                "version", text, expected: "1 to 128 letters, digits, spaces and . _ : / -", Self.isLabel))
        texts = try Self.languages(text)
        for code in try Self.list(
            "jurisdictions", fields, expected: "a country such as CH or US-CA, EU or EEA",
            {
                Jurisdiction($0) != nil
            })
        {
            if let place = Jurisdiction(code) { jurisdictions.append(place) }
        }
        channels = try Self.list("channels", fields, expected: "the name of a channel", Self.isLabel)
        isDirectMarketing = try fields["directMarketing"] == nil ? false : fields.bool("directMarketing")
        isSaleOrSharing = try fields["saleOrSharing"] == nil ? false : fields.bool("saleOrSharing")
        isSensitive = try fields["sensitiveData"] == nil ? false : fields.bool("sensitiveData")
        if fields["recipient"] != nil { recipient = try Self.text("recipient", fields, limit: 256) }
        if let written = fields["lasts"] {
            guard let term = written.string.flatMap(ConsentTerm.init) else {
                throw fields.problem("lasts", expected: "a duration of ISO 8601 such as P13M or P90D")
            }
            guard legalBasis == .consent else {
                throw fields.problem("lasts", expected: "left out where the legal basis is not consent")
            }
            lasts = term
        }
        if fields["signals"] != nil { signals = try SignalNames(try fields.fields("signals")) }
    }

    private static func languages(_ text: JSONFields) throws(DecodingProblem) -> [String: String] {
        guard text["languages"] != nil else { return [:] }
        let languages = try text.fields("languages")
        guard languages.members.count <= mostLanguages else {
            throw text.problem("languages", expected: "at most \(mostLanguages) languages")
        }
        var texts: [String: String] = [:]
        for language in languages.members.keys.sorted() {
            guard isLanguage(language) else {
                throw languages.problem(language, expected: "under a language of BCP 47 such as de or fr-CH")
            }
            texts[language] = try Self.text(language, languages, limit: longestText)
        }
        return texts
    }

    private static func text(
        _ key: String, _ fields: JSONFields, limit: Int
    ) throws(DecodingProblem) -> String {
        try text(key, fields, expected: "a string of 1 to \(limit) characters") {
            (1...limit).contains($0.unicodeScalars.count) && !$0.unicodeScalars.contains("\0")
        }
    }

    private static func text(
        _ key: String, _ fields: JSONFields, expected: String, _ accepts: (String) -> Bool
    ) throws(DecodingProblem) -> String {
        guard let text = fields[key]?.string, accepts(text) else {
            throw fields.problem(key, expected: expected)
        }
        return text
    }

    /// A list without repetitions, in its order; none where the key is missing.
    static func list(
        _ key: String, _ fields: JSONFields, expected: String, _ accepts: (String) -> Bool
    ) throws(DecodingProblem) -> [String] {
        guard fields[key] != nil else { return [] }
        let values = try fields.array(key)
        guard values.count <= ConsentPolicy.mostListed else {
            throw fields.problem(key, expected: "a list of at most \(ConsentPolicy.mostListed)")
        }
        var listed: [String] = []
        for (index, value) in values.enumerated() {
            guard let text = value.string, accepts(text), !listed.contains(text) else {
                let path = "\(fields.path(of: key)).\(index)"
                throw DecodingProblem(
                    path: path, expected: expected,
                    message: "\(path) must be \(expected), each once, found \(value.compact.prefix(80))")
            }
            listed.append(text)
        }
        return listed
    }

    package var json: JSON {
        var text: [String: JSON] = ["version": .string(textVersion)]
        if !texts.isEmpty { text["languages"] = .object(texts.mapValues { .string($0) }) }
        var members: [String: JSON] = [
            "name": .string(name), "legalBasis": .string(legalBasis.rawValue), "text": .object(text),
        ]
        if !jurisdictions.isEmpty {
            members["jurisdictions"] = .array(jurisdictions.map { .string($0.code) })
        }
        if !channels.isEmpty { members["channels"] = .array(channels.map { .string($0) }) }
        if isDirectMarketing { members["directMarketing"] = true }
        if isSaleOrSharing { members["saleOrSharing"] = true }
        if isSensitive { members["sensitiveData"] = true }
        if let recipient { members["recipient"] = .string(recipient) }
        if let lasts { members["lasts"] = .string(lasts.text) }
        if !signals.isEmpty { members["signals"] = signals.json }
        return .object(members)
    }
}

extension SignalNames {
    init(_ fields: JSONFields) throws(DecodingProblem) {
        try fields.allow(["tcf", "gpp", "consentMode"])
        self.init()
        if fields["tcf"] != nil {
            let tcf = try fields.fields("tcf")
            try tcf.allow(["purposes", "specialFeatures", "vendors"])
            // So many of each can a TC string speak of.
            tcfPurposes = try Self.numbers("purposes", tcf, upTo: 24)
            tcfSpecialFeatures = try Self.numbers("specialFeatures", tcf, upTo: 12)
            tcfVendors = try Self.numbers("vendors", tcf, upTo: 65_535)
        }
        let outs = GPPOptOut.allCases.map(\.rawValue)
        gpp = try Purpose.list("gpp", fields, expected: "one of " + outs.joined(separator: ", ")) {
            outs.contains($0)
        }.compactMap(GPPOptOut.init)
        let types = ConsentModeType.allCases.map(\.rawValue)
        consentMode = try Purpose.list(
            "consentMode", fields, expected: "one of " + types.joined(separator: ", ")
        ) {
            types.contains($0)
        }.compactMap(ConsentModeType.init)
    }

    private static func numbers(
        _ key: String, _ fields: JSONFields, upTo most: Int
    ) throws(DecodingProblem) -> [Int] {
        guard fields[key] != nil else { return [] }
        var numbers: [Int] = []
        for value in try fields.array(key) {
            guard let number = value.integer.flatMap({ Int(exactly: $0) }), (1...most).contains(number),
                numbers.count < ConsentPolicy.mostListed
            else {
                throw fields.problem(
                    key, expected: "a list of at most \(ConsentPolicy.mostListed) numbers from 1 to \(most)")
            }
            numbers.append(number)
        }
        return Set(numbers).sorted()
    }

    var json: JSON {
        func list(_ numbers: [Int]) -> JSON { .array(numbers.map { .integer(Int64($0)) }) }
        var tcf: [String: JSON] = [:]
        if !tcfPurposes.isEmpty { tcf["purposes"] = list(tcfPurposes) }
        if !tcfSpecialFeatures.isEmpty { tcf["specialFeatures"] = list(tcfSpecialFeatures) }
        if !tcfVendors.isEmpty { tcf["vendors"] = list(tcfVendors) }
        var members: [String: JSON] = [:]
        if !tcf.isEmpty { members["tcf"] = .object(tcf) }
        if !gpp.isEmpty { members["gpp"] = .array(gpp.map { .string($0.rawValue) }) }
        if !consentMode.isEmpty { members["consentMode"] = .array(consentMode.map { .string($0.rawValue) }) }
        return .object(members)
    }
}
