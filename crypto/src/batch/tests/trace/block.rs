//! What a straight stretch of machine code does with registers that timing can depend on: `Block`.

use std::collections::HashMap;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register, UsedMemory,
};
use nix::libc::user_regs_struct;

/// Instructions one after the other, up to the first that need not go on to the next, or of which something
/// to be seen depends on a register that was changed in between.
pub(super) struct Block {
    /// What all of them show of the registers, which are those before the first.
    pub(super) shown: Vec<(u64, Shown)>,
    /// The address behind the last.
    pub(super) end: u64,
    pub(super) instructions: u64,
    /// It is one instruction, which may go elsewhere.
    pub(super) is_branch: bool,
    /// It is one instruction that is done in one step.
    pub(super) is_step: bool,
    /// The first instruction that takes a time of its own for each operand, or reads many addresses.
    pub(super) forbidden: Option<u64>,
}

/// A number that timing can depend on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    /// The address of an operand in memory.
    Address(Sum),
    /// An operand of a division, or the length of a string.
    Operand(Sum),
}

/// Multiples of registers as they were before the block, and a constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    terms: [(Register, u64); 3],
    constant: u64,
}

impl Block {
    /// The block at `address`, which begins with `code`.
    pub(super) fn new(address: u64, code: &[u8]) -> Self {
        let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
        let mut factory = InstructionInfoFactory::new();
        let mut moved = Moved::default();
        let mut block = Self {
            shown: Vec::new(),
            end: address,
            instructions: 0,
            is_branch: false,
            is_step: false,
            forbidden: None,
        };
        loop {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                assert!(block.instructions > 0, "no code at {address:#x}");
                return block;
            }
            let is_branch = instruction.flow_control() != FlowControl::Next;
            let info = factory.info(&instruction);
            let mut shown = Vec::new();
            for memory in info.used_memory() {
                shown.push(moved.address(memory).map(Shown::Address));
            }
            for register in operands(&instruction) {
                shown.push(moved.register(register).map(Shown::Operand));
            }
            let is_known = shown.iter().all(Option::is_some);
            if block.instructions > 0 && (is_branch || !is_known) {
                return block;
            }
            assert!(is_known, "nothing has moved before {address:#x}");
            let ip = instruction.ip();
            block.shown.extend(shown.into_iter().flatten().map(|shown| (ip, shown)));
            block.instructions += 1;
            block.end = instruction.next_ip();
            block.is_branch = is_branch;
            block.is_step = block.instructions == 1 && !instruction.is_string_instruction();
            let is_forbidden = instruction.is_vsib()
                || matches!(instruction.mnemonic(), Mnemonic::Pext | Mnemonic::Pdep)
                || is_division(&instruction) && instruction.op0_kind() == OpKind::Memory;
            block.forbidden = block.forbidden.or(is_forbidden.then_some(ip));
            if is_branch {
                return block;
            }
            for register in info.used_registers() {
                if !matches!(register.access(), OpAccess::Read | OpAccess::CondRead) {
                    moved.write(register.register(), &instruction);
                }
            }
        }
    }
}

impl Shown {
    pub(super) fn number(self, registers: &user_regs_struct) -> u64 {
        let (Self::Address(sum) | Self::Operand(sum)) = self;
        sum.terms.iter().fold(sum.constant, |number, (register, times)| {
            number.wrapping_add(value(*register, registers).wrapping_mul(*times))
        })
    }
}

/// What is known of registers: each a multiple of one as it was before the block, and a constant; or nothing.
#[derive(Default)]
struct Moved(HashMap<Register, Option<Multiple>>);

#[derive(Clone, Copy)]
struct Multiple {
    of: Register,
    times: u64,
    constant: u64,
}

impl Moved {
    fn write(&mut self, register: Register, instruction: &Instruction) {
        let after = self.after(register, instruction);
        self.0.insert(register.full_register(), after);
    }

    fn after(&self, register: Register, instruction: &Instruction) -> Option<Multiple> {
        let before = || self.get(register);
        let more = |constant| before().map(|before| before.plus(constant));
        let mnemonic = instruction.mnemonic();
        if register == Register::RSP && matches!(mnemonic, Mnemonic::Push | Mnemonic::Pop) {
            return more(i64::from(instruction.stack_pointer_increment()).cast_unsigned());
        }
        // Narrow registers are not followed.
        if instruction.op0_kind() != OpKind::Register || instruction.op0_register() != register {
            return None;
        }
        let constant = || instruction.try_immediate(1).ok();
        match mnemonic {
            Mnemonic::Inc => more(1),
            Mnemonic::Dec => more(u64::MAX),
            Mnemonic::Add => more(constant()?),
            Mnemonic::Sub => more(constant()?.wrapping_neg()),
            Mnemonic::Shl => before()?.shifted(constant()?),
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Register => {
                self.get(instruction.op1_register())
            }
            Mnemonic::Lea if instruction.memory_index() == Register::None => {
                let base = self.get(instruction.memory_base())?;
                Some(base.plus(instruction.memory_displacement64()))
            }
            _ => None,
        }
    }

    /// Of a whole register.
    fn get(&self, register: Register) -> Option<Multiple> {
        let itself = Multiple { of: register, times: 1, constant: 0 };
        let is_whole = register.is_gpr64() || register == Register::None;
        self.0.get(&register).copied().unwrap_or(is_whole.then_some(itself))
    }

    fn register(&self, register: Register) -> Option<Sum> {
        let value = self.get(register.full_register())?;
        Some(Sum {
            terms: [(value.of, value.times), (Register::None, 0), (Register::None, 0)],
            constant: value.constant,
        })
    }

    fn address(&self, memory: &UsedMemory) -> Option<Sum> {
        let base = self.get(memory.base().full_register())?;
        let (index, scale) = (memory.index(), u64::from(memory.scale()));
        // The index of a gather is a vector, which ends the comparison in any case.
        let index = if index.is_vector_register() { Register::None } else { index.full_register() };
        let index = self.get(index)?;
        let constant = memory.displacement().wrapping_add(base.constant);
        Some(Sum {
            terms: [
                (memory.segment(), 1),
                (base.of, base.times),
                (index.of, index.times.wrapping_mul(scale)),
            ],
            constant: constant.wrapping_add(index.constant.wrapping_mul(scale)),
        })
    }
}

impl Multiple {
    fn plus(self, constant: u64) -> Self {
        Self { constant: self.constant.wrapping_add(constant), ..self }
    }

    fn shifted(self, bits: u64) -> Option<Self> {
        let bits = u32::try_from(bits).ok().filter(|bits| *bits < 64)?;
        Some(Self { times: self.times << bits, constant: self.constant << bits, ..self })
    }
}

fn is_division(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv)
}

/// The registers that decide how long an instruction takes.
fn operands(instruction: &Instruction) -> Vec<Register> {
    if is_division(instruction) {
        let divisor = instruction.op0_register();
        let divisor = (divisor != Register::None).then_some(divisor);
        [Register::RAX, Register::RDX].into_iter().chain(divisor).collect()
    } else if instruction.is_string_instruction() {
        vec![Register::RCX]
    } else {
        Vec::new()
    }
}

fn value(register: Register, registers: &user_regs_struct) -> u64 {
    match register {
        Register::RAX => registers.rax,
        Register::RBX => registers.rbx,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::RBP => registers.rbp,
        Register::RSP => registers.rsp,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        Register::FS => registers.fs_base,
        Register::GS => registers.gs_base,
        Register::None | Register::CS | Register::DS | Register::ES | Register::SS => 0,
        other => panic!("an address from {other:?}"),
    }
}
