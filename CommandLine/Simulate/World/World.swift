import Models

/// Simulated shoppers: everything they do follows from the seed, the start, and the mails they get.
struct World: Sendable {
    let seed: UInt64
    let start: Instant
    let days: Int
    private(set) var states: [ShopperState]
    private var random: [SplitMix64]
    private var nextDay: [Int]

    init(seed: UInt64, shoppers: Int, days: Int, start: Instant) {
        self.seed = seed
        self.start = start
        self.days = days
        states = (0..<shoppers).map { ShopperState(shopper: Shopper(seed: seed, number: $0)) }
        random = (0..<shoppers).map {
            SplitMix64(seed: StableHash.hash64("visits", String(seed), String($0)))
        }
        nextDay = Array(repeating: 0, count: shoppers)
    }

    var end: Instant { start + .days(days) }

    /// The visits of one person on its next day, in order; nil when its days are over.
    ///
    /// Day by day, because what a mail brought about meanwhile (a purchase) changes what the next day holds.
    mutating func nextDay(of shopper: Int) -> (from: Instant, visits: [Visit])? {
        guard nextDay[shopper] < days else { return nil }
        let day = start + .days(nextDay[shopper])
        nextDay[shopper] += 1
        var visits: [Visit] = []
        let rate = states[shopper].shopper.visitsPerDay
        for _ in 0..<3 where random[shopper].chance(rate / 3) {
            let minute = random[shopper].next(in: 7 * 60...(23 * 60))
            visits.append(
                Visit(
                    shopper: shopper, at: day + .minutes(minute) + .seconds(random[shopper].next(in: 0...59)),
                    seed: random[shopper].next()))
        }
        return (day, visits.sorted { $0.at < $1.at })
    }

    /// A visit that will take place.
    struct Visit: Sendable, Equatable {
        let shopper: Int
        let at: Instant
        let seed: UInt64
    }

    /// What happens in a visit, given all that the person has done until then.
    mutating func session(_ visit: Visit) -> Session {
        var random = SplitMix64(seed: visit.seed)
        let shopper = states[visit.shopper].shopper
        let device = random.next(in: 0...(shopper.devices.count - 1))
        var recorder = SessionRecorder(seed: seed, state: states[visit.shopper], device: device, at: visit.at)
        recorder.page("Home", path: "/")
        recorder.wait(.seconds(random.next(in: 5...40)))
        if random.chance(shopper.loginRate) {
            recorder.logIn()
            recorder.wait(.seconds(8))
        }
        if random.chance(0.4) {
            let query = random.element(of: SimulatedProduct.catalog).name.lowercased()
            recorder.track("Products Searched", ["query": .string(query)])
            recorder.wait(.seconds(random.next(in: 4...30)))
        }
        browse(&recorder, &random, shopper)
        if random.chance(0.04) {
            recorder.wait(.seconds(90))
            recorder.track(
                "Support Ticket Opened",
                [
                    "ticket_id": .string("T-\(seed)-\(shopper.number)-\(recorder.calls.count)"),
                    "topic": .string(random.element(of: ["delivery", "return", "invoice", "damaged"])),
                ])
        }
        states[visit.shopper] = recorder.state
        return recorder.session
    }

    private func browse(_ recorder: inout SessionRecorder, _ random: inout SplitMix64, _ shopper: Shopper) {
        let favourites = SimulatedProduct.catalog.filter { $0.category == shopper.favourite }
        var seen: [SimulatedProduct] = []
        for _ in 0..<random.next(in: 1...5) {
            // People come back to what they like: now and then to the very same product.
            let product =
                random.chance(0.25)
                ? favourites[shopper.number % favourites.count]
                : random.element(of: random.chance(0.7) ? favourites : SimulatedProduct.catalog)
            seen.append(product)
            recorder.view(product)
            recorder.wait(.seconds(random.next(in: 10...120)))
        }
        if random.chance(shopper.cartRate) {
            for product in seen.prefix(random.next(in: 1...2)) {
                recorder.add(product, quantity: Int64(random.next(in: 1...3)))
                recorder.wait(.seconds(random.next(in: 5...20)))
            }
            if random.chance(0.1) { recorder.removeLast() }
            if random.chance(0.5) {
                recorder.track("Cart Viewed", [:])
                recorder.wait(.seconds(15))
            }
        }
        // Also a cart that was left days ago may be bought now.
        if random.chance(shopper.buyRate) { recorder.checkOut() }
    }

    // MARK: mails

    /// What a person does with a mail: decided by who it is and which of its mails this is.
    mutating func reaction(to mail: MailFacts, at now: Instant) -> [MailReaction] {
        guard let shopper = states.firstIndex(where: { $0.shopper.email == mail.recipient }) else {
            return []
        }
        states[shopper].mails += 1
        let habits = states[shopper].shopper
        var random = SplitMix64(
            seed: StableHash.hash64(
                "mail", String(seed), String(shopper), String(states[shopper].mails), mail.subject))
        guard random.chance(habits.openRate) else { return [] }
        var at = now + .minutes(random.next(in: 5...600)) + .seconds(random.next(in: 0...59))
        var reactions: [MailReaction] = []
        if let pixel = mail.pixel {
            reactions.append(MailReaction(shopper: shopper, at: at, kind: .open(pixel)))
        }
        if random.chance(habits.unsubscribeRate), let unsubscribe = mail.unsubscribe {
            at = at + .seconds(random.next(in: 5...30))
            reactions.append(MailReaction(shopper: shopper, at: at, kind: .unsubscribe(unsubscribe)))
        } else if random.chance(habits.clickRate), let link = mail.links.first {
            at = at + .seconds(random.next(in: 5...60))
            reactions.append(MailReaction(shopper: shopper, at: at, kind: .click(link)))
            if random.chance(0.5) {
                at = at + .seconds(random.next(in: 60...600))
                reactions.append(MailReaction(shopper: shopper, at: at, kind: .buy(seed: random.next())))
            }
        }
        return reactions
    }

    /// Somebody who came by a mail's link buys what is in the cart, or what the mail showed.
    mutating func purchase(by shopper: Int, seed purchaseSeed: UInt64, at now: Instant) -> Session {
        var random = SplitMix64(seed: purchaseSeed)
        let person = states[shopper].shopper
        let device = random.next(in: 0...(person.devices.count - 1))
        var recorder = SessionRecorder(seed: seed, state: states[shopper], device: device, at: now)
        recorder.page("Cart", path: "/cart")
        recorder.wait(.seconds(20))
        if recorder.state.cart.isEmpty {
            let favourites = SimulatedProduct.catalog.filter { $0.category == person.favourite }
            let product = random.element(of: favourites)
            recorder.view(product)
            recorder.wait(.seconds(30))
            recorder.add(product, quantity: 1)
            recorder.wait(.seconds(10))
        }
        recorder.checkOut()
        states[shopper] = recorder.state
        return recorder.session
    }

    mutating func noteUnsubscribed(_ shopper: Int) { states[shopper].unsubscribed = true }

    /// Everything that is true about the people so far.
    var truth: GroundTruth { GroundTruth(world: self) }
}

/// What a person sees of a mail.
struct MailFacts: Sendable, Equatable {
    let recipient: String
    let subject: String
    let pixel: String?
    let links: [String]
    let unsubscribe: String?
}

/// Something that a person does with a mail at a time.
struct MailReaction: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case open(String)
        case click(String)
        case unsubscribe(String)
        case buy(seed: UInt64)
    }

    let shopper: Int
    let at: Instant
    let kind: Kind
}
