package import Models

/// How the webhooks of one provider become calls: read from a file such as `deploy/examples/webhooks/shopify.yaml`,
/// which the server has turned into JSON.
package struct WebhookMapping: Hashable, Sendable {
    package static let maxRules = 200

    package var provider: WebhookProvider
    package var authentication: WebhookAuthentication
    /// Where records are in JSON without a layout of its own.
    package var envelope: WebhookEnvelope
    package var rules: [MappingRule]

    /// Reads a mapping, or says everything that is wrong with it.
    package init(json: JSON) throws(InvalidMapping) {
        let log = MappingLog()
        let json = MappingDefinitions.expanded(json, log)
        guard let mapping = Self.read(json, log), log.mistakes.isEmpty else {
            throw InvalidMapping(mistakes: log.mistakes)
        }
        self = mapping
    }

    private init(
        provider: WebhookProvider, authentication: WebhookAuthentication, envelope: WebhookEnvelope,
        rules: [MappingRule]
    ) {
        self.provider = provider
        self.authentication = authentication
        self.envelope = envelope
        self.rules = rules
    }

    private static func read(_ json: JSON, _ log: MappingLog) -> WebhookMapping? {
        guard var reader = MappingReader(json, "", log, expected: "an object with `provider` and `rules`")
        else {
            return nil
        }
        let provider = reader.optionalChoice("provider", as: WebhookProvider.self)
        if provider == nil, !reader.has("provider") {
            log.report("", expected: "`provider`: who sends", found: "no `provider`")
        }
        let authentication = authentication(&reader, provider)
        let envelope = envelope(&reader, provider)
        let rules = rules(&reader)
        reader.finish()
        guard let provider, let authentication, let envelope else { return nil }
        return WebhookMapping(
            provider: provider, authentication: authentication, envelope: envelope, rules: rules)
    }

    private static func authentication(
        _ reader: inout MappingReader, _ provider: WebhookProvider?
    ) -> WebhookAuthentication? {
        let key = "authentication"
        if let value = reader.optional(key) {
            return WebhookAuthentication.read(value, reader.path(to: key), reader.log)
        }
        guard let provider else { return nil }
        let usual = WebhookAuthentication.usual(of: provider)
        if usual == nil {
            reader.log.report(
                "", expected: "`authentication`: how a request of \(provider.rawValue) proves whose it is",
                found: "no `authentication`")
        }
        return usual
    }

    private static func envelope(
        _ reader: inout MappingReader, _ provider: WebhookProvider?
    ) -> WebhookEnvelope? {
        guard let value = reader.optional("envelope") else {
            if provider == .json {
                reader.log.report(
                    "", expected: "`envelope`: where a record says what it is", found: "no `envelope`")
            }
            return .stripe
        }
        if let provider, provider != .json, provider != .stripe {
            reader.log.report(
                value, "envelope", expected: "none: the layout of \(provider.rawValue) is known")
        }
        return WebhookEnvelope(value, "envelope", reader.log)
    }

    private static func rules(_ reader: inout MappingReader) -> [MappingRule] {
        guard let value = reader.required("rules", expected: "a list of rules") else { return [] }
        let log = reader.log
        guard let elements = value.array, (1...maxRules).contains(elements.count) else {
            log.report(value, "rules", expected: "a list of 1 to \(maxRules) rules")
            return []
        }
        var rules: [MappingRule] = []
        var seen: Set<String> = []
        for (index, element) in elements.enumerated() {
            guard let rule = MappingRule(element, "rules.\(index)", log) else { continue }
            if !seen.insert(rule.id).inserted {
                log.report(
                    "rules.\(index)", expected: "an `id` of its own",
                    found: "a second rule called “\(rule.id)”")
            }
            rules.append(rule)
        }
        return rules
    }
}

extension WebhookMapping {
    /// The names that the rules for a record give somebody, also where a rule can make no item of it.
    package func subjects(of record: InboundRecord) -> [String] {
        let names = rules.filter { $0.condition.matches(record) }
            .flatMap { CallBuilder(rule: $0, record: record, receivedAt: .distantPast).subjects }
        return Array(Set(names).sorted().prefix(RecordSubjects.limit))
    }

    /// What becomes of a record: an item for each rule that fits it, and at least one that says why nothing did.
    package func items(for record: InboundRecord, receivedAt: Instant) -> [MappedItem] {
        let items = rules.filter { $0.condition.matches(record) }
            .flatMap { CallBuilder(rule: $0, record: record, receivedAt: receivedAt).items }
        guard items.isEmpty else { return items }
        return [
            MappedItem(
                rule: nil, messageID: MappedItem.messageID(record, rule: ""),
                outcome: .ignored(reason: "no rule of the mapping fits its type or what it holds"))
        ]
    }
}
