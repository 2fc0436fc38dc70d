import Models

/// In which steps the clock of random histories and rules goes.
struct RandomScale {
    /// Milliseconds of a step.
    var unit: Int64
    /// When histories begin.
    var start: Int64
    var zones: [String]

    /// Milliseconds after 1970, as fast as a test with a database needs it.
    static let milliseconds = RandomScale(unit: 1, start: 1_000, zones: ["UTC", "Europe/Berlin"])
    /// Hours around changes of the clocks and 29 February, in the zones that differ most.
    static let calendars: [RandomScale] = ["2024-02-27", "2026-03-26", "2025-10-20", "2018-10-30"].map {
        date in
        RandomScale(
            unit: 3_600_000, start: Instant(rfc3339: "\(date)T00:00:00Z")?.milliseconds ?? 0,
            zones: [
                "Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu", "America/Sao_Paulo",
                "Pacific/Auckland",
            ])
    }

    var isCalendar: Bool { unit > 1 }
}

/// Random events of one person, in the order of their arrival: mostly in the order of time, some late, some twice.
struct RandomHistory {
    var generator: SeededGenerator
    private var clock: Int64
    private var count = 0
    private let scale: RandomScale

    private let name: String
    /// What the identity policy says of the traits.
    private let rules: [String: TraitRule]
    /// Whether decisions about consent are among the events.
    var hasConsents = false

    /// `name` tells the message ids of two histories apart; of histories that may come together the rules are the same.
    init(
        generator: SeededGenerator, name: String, rules: [String: TraitRule],
        scale: RandomScale = .milliseconds
    ) {
        self.scale = scale
        clock = scale.start
        self.generator = generator
        self.name = name
        self.rules = rules
    }

    static let rules: [[String: TraitRule]] = [
        [:], [:], ["plan": .first], ["plan": .union, "visits": .maximum], ["visits": .priority(rank: 1)],
    ]

    /// The next event to arrive, given those that have.
    mutating func next(after known: [TrackingEvent]) -> TrackingEvent {
        if !known.isEmpty, generator.chance(10) { return generator.pick(known) }
        if hasConsents, generator.chance(10) { return consent() }
        var event = new()
        event.position = TimelinePosition(shard: Shard(hashing: name), offset: Int64(count))
        if generator.chance(8) { event.userID = "u" }
        if generator.chance(8) { event.traits["email"] = generator.pick(["a@b.example", "nobody"]) }
        if generator.chance(8) {
            event.context["externalIds"] = [["type": "crm:contact", "id": generator.pick(["7", ""])]]
        }
        if generator.chance(8) { event.context["device"] = ["id": generator.pick([7, "d", .null])] }
        if generator.chance(20) {
            event.context["location"] = ["country": generator.pick(["DE", "FR", .null])]
        }
        if hasConsents, event.kind == .identify, generator.chance(40) {
            event.traits["country"] = generator.pick(["DE", "fr", "US-CA", "US", ["DE"], 7, .null])
        }
        if generator.chance(10) { event.context["trial"] = ["ends": time()] }
        return event
    }

    /// A decision about consent, sometimes told late, and often at the instant of another.
    private mutating func consent() -> TrackingEvent {
        count += 1
        clock += Int64(generator.pick([0, 0, 1, 60, 900])) * scale.unit
        let late = generator.chance(20) ? Int64(generator.below(1_500)) * scale.unit : 0
        return TrackingEvent(
            ConsentChange(
                profileID: ProfileID(UUIDv7.derived(at: .distantPast, from: name)),
                purpose: generator.pick(["news", "ads"]), state: generator.pick([.granted, .withdrawn]),
                at: Instant(milliseconds: clock - late), source: "test",
                ledgerEntry: "\(name).\(count)-\(generator.below(1_000))"),
            recordedAt: Instant(milliseconds: clock))
    }

    private mutating func new() -> TrackingEvent {
        clock += Int64(generator.pick([0, 1, 1, 2, 5, 20, 60, 250, 900])) * scale.unit
        count += 1
        let late = generator.chance(20) ? Int64(generator.below(1_500)) * scale.unit : 0
        let time = Instant(milliseconds: clock - late)
        // A sender's clock that is ahead: then the arrival is what counts.
        let claimed = generator.chance(5) ? time + .milliseconds(700 * scale.unit) : time
        let received = claimed == time ? time + .seconds(60) : time
        let id = "\(name).\(count)-\(generator.below(1_000))"
        if generator.chance(8) {
            var traits: [String: JSON] = [:]
            if generator.chance(70) { traits["plan"] = generator.pick(["pro", "free", .null]) }
            if generator.chance(50) { traits["seats"] = .integer(Int64(generator.below(6))) }
            return TrackingEvent(
                messageID: id, kind: .group, groupID: generator.pick(["g1", "g2"]), timestamp: claimed,
                receivedAt: received, sourceID: Self.source, traits: traits)
        }
        if generator.chance(20) {
            let traits: [String: JSON] =
                generator.chance(20)
                ? ["birthday": birthday()]
                : generator.chance(20)
                    ? ["due": generator.chance(85) ? self.time() : .null]
                    : [generator.pick(["plan", "visits"]): generator.pick(["pro", "free", 1, 2, 3, .null])]
            var event = TrackingEvent(
                messageID: id, kind: .identify, timestamp: claimed, receivedAt: received,
                sourceID: Self.source,
                traits: traits)
            for name in traits.keys { event.traitRules[name] = rules[name] }
            return event
        }
        return TrackingEvent(
            messageID: id, kind: .track, name: generator.pick(["A", "B", "C"]), timestamp: claimed,
            receivedAt: received, sourceID: Self.source, properties: properties())
    }

    private mutating func properties() -> [String: JSON] {
        var properties: [String: JSON] = [:]
        if generator.chance(60) { properties["colour"] = generator.pick(["red", "blue", "green"]) }
        switch generator.below(4) {
        case 0: properties["price"] = .integer(Int64(generator.below(6)))
        case 1: properties["price"] = .double(Double(generator.below(10)) / 2)
        case 2: properties["price"] = .integer(-2)
        default: break
        }
        if generator.chance(30) {
            properties["products"] = .array(
                (0..<generator.below(4)).map { index in
                    var product: [String: JSON] = ["sku": .string("s\(index % 2)")]
                    if generator.chance(60) { product["price"] = .integer(Int64(generator.below(6))) }
                    if generator.chance(50) { product["ends"] = time() }
                    return .object(product)
                })
        }
        if generator.chance(30) {
            properties["title"] = generator.pick(["Red Shoe", "red shoe", "a red hat", "RED HAT", "shoe"])
        }
        if generator.chance(30) { properties["due"] = time() }
        if generator.chance(20) { properties["a"] = ["b": 1] }
        return properties
    }

    /// A date some years back around the clock, often 29 February.
    private mutating func birthday() -> JSON {
        if generator.chance(30) {
            return generator.pick(["2024-02-29", "2020-02-29", "2023-02-29", .null, 7])
        }
        let day = Instant(milliseconds: clock + Int64(generator.below(1_000) - 200) * scale.unit).rfc3339
        let year = (Int(day.prefix(4)) ?? 2_000) - generator.below(3)
        return .string("\(year)\(day.dropFirst(4).prefix(generator.chance(50) ? 6 : 20))")
    }

    /// A time around the clock, seldom a date.
    private mutating func time() -> JSON {
        let instant = Instant(milliseconds: clock + Int64(generator.below(2_000) - 600) * scale.unit)
        return .string(
            scale.isCalendar && generator.chance(20) ? String(instant.rfc3339.prefix(10)) : instant.rfc3339)
    }

    static let source = SourceID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "source"))
}
