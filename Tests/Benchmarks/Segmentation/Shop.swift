import Models

extension SeededGenerator {
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// One thing that a made-up shopper did.
struct ShopEvent {
    var profile: Int
    var at: Int64
    var name: String
    var category: String?
    var sku: String?
    var total: Int?

    /// The end of the 90 days in which everything happens: 2026-07-01T00:00:00Z.
    static let now = Instant(milliseconds: 1_782_864_000_000)
    static let days: Int64 = 90
    private static let categories = [
        "Shoes", "Shirts", "Coats", "Hats", "Bags", "Belts", "Socks", "Rings", "Books", "Toys", "Lamps",
        "Rugs",
    ]

    /// What somebody of the shop does at some time: mostly looking, seldom buying.
    static func random(by profile: Int, at: Int64, _ random: inout SeededGenerator) -> ShopEvent {
        var event = ShopEvent(profile: profile, at: at, name: "Product Viewed")
        switch random.below(100) {
        case ..<55: break
        case ..<72: event.name = "Product Added"
        case ..<82: event.name = "Checkout Started"
        case ..<89: event.name = "Order Completed"
        default: event.name = "Email Opened"
        }
        switch event.name {
        case "Product Viewed", "Product Added":
            let sku = random.below(2_000)
            event.sku = "sku-\(sku)"
            event.category = categories[sku % categories.count]
        case "Order Completed": event.total = 5 + random.below(195)
        default: break
        }
        return event
    }

    /// The events of a population, by profile and then by time. Few are busy, most are not.
    static func population(of profiles: Int, events: Int, seed: UInt64) -> [ShopEvent] {
        var random = SeededGenerator(seed: seed)
        let length = days * 86_400_000
        let all = (0..<events).map { _ in
            // The smaller of two draws: lower numbers do more.
            let profile = min(random.below(profiles), random.below(profiles))
            let at = now.milliseconds - Int64(random.below(Int(length)))
            return Self.random(by: profile, at: at, &random)
        }
        return all.sorted { ($0.profile, $0.at) < ($1.profile, $1.at) }
    }

    func tracking(_ number: Int) -> TrackingEvent {
        var properties: [String: JSON] = [:]
        properties["category"] = category.map { .string($0) }
        properties["sku"] = sku.map { .string($0) }
        properties["total"] = total.map { .integer(Int64($0)) }
        let at = Instant(milliseconds: at)
        return TrackingEvent(
            messageID: "m\(number)", kind: .track, name: name, timestamp: at, receivedAt: at,
            sourceID: Self.source, properties: properties)
    }

    static let source = SourceID(UUIDv7.derived(at: now, from: "shop"))

    static func profileID(_ profile: Int) -> ProfileID {
        ProfileID(UUIDv7.derived(at: now, from: "profile", "\(profile)"))
    }

    // MARK: The file that both sides read

    var line: String {
        "\(profile),\(at),\(name),\(category ?? ""),\(sku ?? ""),\(total.map(String.init) ?? "")\n"
    }

    init?(line: Substring) {
        let cells = line.split(separator: ",", omittingEmptySubsequences: false)
        guard cells.count == 6, let profile = Int(cells[0]), let at = Int64(cells[1]) else { return nil }
        self.init(profile: profile, at: at, name: String(cells[2]))
        category = cells[3].isEmpty ? nil : String(cells[3])
        sku = cells[4].isEmpty ? nil : String(cells[4])
        total = Int(cells[5])
    }

    init(profile: Int, at: Int64, name: String) {
        self.profile = profile
        self.at = at
        self.name = name
    }
}
